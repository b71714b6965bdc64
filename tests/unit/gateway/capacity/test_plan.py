"""What fits on a described machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.capacity import facts
from gateway.capacity.command import text
from gateway.capacity.compute import OVERHEAD, as_json, size_up, with_all_gpus
from gateway.capacity.machine import (
    GB,
    Machine,
    MachineError,
    described,
    from_file,
    host_bytes,
    this_machine,
)
from gateway.capacity.placement import Device, Sizing, judge, tenants_that_fit
from gateway.placement import forced_devices
from gateway.settings import Settings
from tests.support.fake_cards import CardsNvml, FakeCard

REPOSITORY = Path(__file__).resolve().parents[4] / "model_repository"
EIGHT = described(8, 96, None)
CONTAINER = {"start": False}


def worked_out(machine: Machine, **sections: Any) -> Sizing:
    settings = Settings(paths={"repository": REPOSITORY}, **sections)
    return size_up(with_all_gpus(settings, machine), machine, forced_devices(settings))


@pytest.mark.parametrize("triton", [{}, CONTAINER, {**CONTAINER, "use_plans": True}])
def test_all_tenants_on_every_card_of_the_documented_machine(triton: dict[str, bool]) -> None:
    found = worked_out(EIGHT, triton=triton)
    assert found.fits
    rooms = [device.tenants for device in found.devices[:-1]]
    assert [len(one) for one in rooms] == [1] * 8
    assert all(room.wanted == 1200 <= room.fit for (room,) in rooms)
    assert all(device.used <= device.usable for device in found.devices)


def test_one_configuration_for_one_gpu_and_for_a_cpu() -> None:
    card, cpu = worked_out(described(1, 24, None)), worked_out(described(0, 16, None))
    assert card.fits
    assert cpu.fits
    (on_card,) = card.devices[0].tenants
    (on_cpu,) = cpu.devices[0].tenants
    assert (on_card.bytes, on_cpu.bytes) == (facts.TENANT_ON_GPU, facts.TENANT_ON_CPU)
    assert 0 < on_card.fit < 1200
    assert 0 < on_cpu.fit < 1200


def test_a_small_checkpoint_of_the_vlm_runs_without_a_gpu(tmp_path: Path) -> None:
    for model in REPOSITORY.iterdir():
        if model.name != "vlm":
            (tmp_path / model.name).symlink_to(model)
    checkpoint = tmp_path / "vlm" / "1" / "small"
    checkpoint.mkdir(parents=True)
    (checkpoint / "model.safetensors").write_bytes(bytes(1000))
    config = (REPOSITORY / "vlm" / "config.pbtxt").read_text()
    asked = config.replace('Qwen/Qwen3-VL-8B-Thinking" } }', '1/small" } }', 1)
    assert asked != config
    (tmp_path / "vlm" / "config.pbtxt").write_text(asked)
    settings = Settings(paths={"repository": tmp_path}, iot={"emotions": {"engine": "vlm"}})
    found = size_up(settings, described(0, 16, None), {})
    assert found.fits, found.problems
    assert any(one.startswith("vlm runs on the CPU") for one in found.notes)


def test_the_vlm_leaves_no_room_for_lipsync_on_its_card() -> None:
    found = worked_out(EIGHT, iot={"emotions": {"engine": "vlm"}}, triton=CONTAINER)
    assert not found.fits
    assert found.problems[0].startswith("GPU 0: no room for one lip-sync tenant")
    assert "vlm (memory_fraction 0.85)" in found.problems[1]
    assert all(room.fit >= 1200 for device in found.devices[1:-1] for room in device.tenants)


def test_stories_and_chat_share_one_engine() -> None:
    stories = {"emotions": {"engine": "vlm"}}
    for services in (["iot"], ["vlm"], ["iot", "vlm"]):
        found = worked_out(EIGHT, services=services, iot=stories, triton=CONTAINER)
        placed = [item.what for device in found.devices for item in device.items]
        assert sum(name.startswith("vlm (") for name in placed) == 1


@pytest.mark.parametrize(
    ("gpus", "sections", "said"),
    [
        (0, {"iot": {"emotions": {"engine": "vlm"}}}, "vlm needs 1 GPUs"),
        (0, {"services": ["vlm"]}, "vlm needs 1 GPUs"),
        (1, {"text": {"device": "cuda:1"}}, "sentence_encoder is to run on cuda:1"),
        (2, {"lipsync": {"gpus": {"count": 4}}}, "lipsync.gpus.count is 4"),
        (1, {"services": ["tryon"], "tryon": {"model": {"engine": "lightx2v"}}}, "tryon"),
    ],
)
def test_what_cannot_be_placed(gpus: int, sections: dict[str, Any], said: str) -> None:
    found = worked_out(described(gpus, 24, 64), triton=CONTAINER, **sections)
    assert not found.fits
    assert any(said in problem for problem in found.problems)


def test_diffusion_needs_its_card() -> None:
    tryon = {"model": {"engine": "diffusers", "default_mode": "base", "device": "cuda:1"}}
    found = worked_out(described(2, 80, 256), services=["tryon"], tryon=tryon, triton=CONTAINER)
    assert found.fits
    assert [item.what for item in found.devices[1].items] == ["tryon"]
    assert found.devices[1].fixed > 2 * 28.3e9
    assert found.devices[0].fixed == 0


@pytest.mark.parametrize(
    ("card", "model", "kept"),
    [
        (141, {}, "resident, bfloat16"),
        (80, {}, "resident, fp8"),
        (24, {}, "blocks, bfloat16"),
        (141, {"memory_gb": 46}, "resident, fp8"),
    ],
)
def test_diffusion_is_kept_as_the_card_allows(card: int, model: dict[str, Any], kept: str) -> None:
    tryon = {"model": {"engine": "diffusers", **model}}
    found = worked_out(described(1, card, 256), services=["tryon"], tryon=tryon, triton=CONTAINER)
    assert found.fits
    assert [item.engine for item in found.devices[0].items] == [f"diffusers fp8 ({kept})"]


def test_networks_go_where_they_are_forced_to() -> None:
    found = worked_out(
        described(2, 24, 64), triton=CONTAINER, text={"device": "cuda:1"}, vision={"device": "cpu"}
    )
    first, second, host = ({item.what for item in device.items} for device in found.devices)
    assert "sentence_encoder" in second - first - host
    assert "image_classifier" in host - first - second
    assert "face_detector" in first - second - host


def test_networks_are_on_as_many_cards_as_they_ask_for(tmp_path: Path) -> None:
    for model in REPOSITORY.iterdir():
        if model.name != "face_detector":
            (tmp_path / model.name).symlink_to(model)
    (tmp_path / "face_detector").mkdir()
    config = (REPOSITORY / "face_detector" / "config.pbtxt").read_text()
    for cards, expected in (("2", 2), ("0", 3)):
        asked = config.replace(
            '"cards" value: { string_value: "1" }', f'"cards" value: {{ string_value: "{cards}" }}'
        )
        assert asked != config
        (tmp_path / "face_detector" / "config.pbtxt").write_text(asked)
        settings = Settings(paths={"repository": tmp_path}, triton=CONTAINER)
        found = size_up(settings, described(3, 48, 64), {})
        having = [
            device.name
            for device in found.devices
            if "face_detector" in {item.what for item in device.items}
        ]
        assert having == [f"GPU {number}" for number in range(expected)]


def test_calls_on_a_gpu_hold_more() -> None:
    on_gpu, on_host = (
        {item.what: item.bytes for item in device.items}["sentence_encoder"]
        for device in (
            worked_out(described(1, 48, 64), triton=CONTAINER).devices[0],
            worked_out(described(0, 48, 64), triton=CONTAINER).devices[-1],
        )
    )
    row, weights = facts.NETWORKS["sentence_encoder"].row, 90_364_401
    assert on_host == pytest.approx(2 * (weights + 16 * row), rel=0.01)  # 4,096 tokens
    assert on_gpu == pytest.approx(2 * (weights + facts.ARENA_FACTOR * 64 * row), rel=0.01)


def test_pinned_tenants_must_fit() -> None:
    models = {f"t{n}": {"model_path": "x.onnx", "pinned": True} for n in range(60)}
    small = described(0, 6, None)
    assert worked_out(described(0, 64, None), lipsync={"models": models}).fits
    found = worked_out(small, lipsync={"models": models})
    assert any("60 tenants are pinned" in problem for problem in found.problems)


def test_tenants_count_by_their_files(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"0" * 4_000_000)
    (tmp_path / "watched").mkdir()
    (tmp_path / "watched" / "b.onnx").write_bytes(b"0" * 2_000_000)
    models = {"a": {"model_path": "a.onnx"}, "gone": {"model_path": "gone.onnx"}}
    lipsync = {
        "models_root": str(tmp_path),
        "models": models,
        "watch_folder": str(tmp_path / "watched"),
    }
    (on_card,) = worked_out(described(1, 24, None), lipsync=lipsync).devices[0].tenants
    (on_cpu,) = worked_out(described(0, 16, None), lipsync=lipsync).devices[0].tenants
    assert (on_card.bytes, on_cpu.bytes) == (1_500_000, 3_000_000 + OVERHEAD)
    assert 0 < OVERHEAD < 1_000_000
    nothing = {**lipsync, "watch_folder": None, "models": {"gone": models["gone"]}}
    (documented,) = worked_out(described(1, 24, None), lipsync=nothing).devices[0].tenants
    assert documented.bytes == facts.TENANT_ON_GPU


def test_a_budget_for_tenants_holds() -> None:
    budget = {"gpus": {"memory_gb_per_gpu": 10}}
    (room,) = worked_out(described(1, 96, None), lipsync=budget).devices[0].tenants
    assert room.fit == 10 * 2**30 // facts.TENANT_ON_GPU


def test_tenants_beyond_a_card_are_pinned_on_the_host() -> None:
    def pinned(memory_gb: int) -> list[int]:
        host = worked_out(described(1, memory_gb, None)).devices[-1]
        return [item.bytes for item in host.items if "tenants beyond" in item.what]

    assert pinned(96) == []
    assert pinned(12) == [facts.PINNED]


def test_lipsync_on_a_shared_card_is_told_what_the_others_leave() -> None:
    alone = worked_out(described(1, 96, None).model_copy(update={"onnxruntime_gpu": False}))
    assert not any("is shared" in note for note in alone.notes)
    shared = worked_out(described(1, 96, None), triton=CONTAINER)
    assert alone.devices[0].lipsync_room == 0
    (note,) = [note for note in shared.notes if "is shared" in note]
    gibibytes = float(re.findall(r"memory_gb_per_gpu says ([\d.]+)", note)[0])
    given = {"gpus": {"memory_gb_per_gpu": gibibytes}}
    fixed = worked_out(described(1, 96, None), triton=CONTAINER, lipsync=given)
    assert not any("is shared" in note for note in fixed.notes)
    card = shared.devices[0]
    others = sum(item.bytes for item in card.items if item.what != "lip-sync: slots")
    assert card.lipsync_room == card.usable - others
    assert fixed.devices[0].lipsync_room == 0, "what is said wins"
    fits = [size_up.devices[0].tenants[0].fit for size_up in (shared, fixed)]
    assert fits[0] - 5 <= fits[1] <= fits[0]


def test_plans_reserve_their_largest_shapes() -> None:
    machine = described(1, 96, None)
    onnx = worked_out(machine, triton=CONTAINER).devices[0]
    plans = worked_out(machine, triton={**CONTAINER, "use_plans": True}).devices[0]
    assert plans.fixed > onnx.fixed
    sizes = {item.what: item.bytes for item in plans.items}
    rows, row = 32, facts.NETWORKS["token_encoder"].row
    assert sizes["token_encoder"] >= 2 * rows * row  # FP32
    assert sizes["building of plans"] == facts.CONTEXT + facts.plan_workspace(96 * GB)


@given(
    st.integers(0, 10**12), st.integers(1, 10**9), st.integers(0, 10**11), st.integers(0, 10**12)
)
def test_tenants_never_take_what_is_not_there(
    free: int, size: int, slots: int, budget: int
) -> None:
    fit = tenants_that_fit(free, size, slots=slots, budget=budget)
    assert fit >= 0
    assert fit == 0 or fit * size + slots <= free
    assert not budget or fit * size <= budget
    assert tenants_that_fit(free + size, size, slots=slots, budget=budget) >= fit


@given(st.integers(1, 10**12), st.lists(st.integers(0, 10**11), max_size=5))
def test_a_device_is_full_when_it_is(capacity: int, sizes: list[int]) -> None:
    device = Device("GPU 0", capacity)
    for size in sizes:
        device.add("something", "engine", 1, size)
    assert bool(judge(device)) == (sum(sizes) > int(capacity * 0.95))


def test_machines_from_files(tmp_path: Path) -> None:
    file = tmp_path / "machine.yaml"
    file.write_text("gpus: [{name: A, memory_gb: 96}, {memory_gb: 24}]\nmemory_gb: 512\n")
    found = from_file(file)
    assert [gpu.memory_gb for gpu in found.gpus] == [96, 24]
    file.write_text(json.dumps({"memory_gb": 8}))
    assert from_file(file).gpus == []
    for wrong in ("[]", "gpus: 3", "memory_gb: -1", "memory_gb: 8\ncores: 2", "{"):
        file.write_text(wrong)
        with pytest.raises(MachineError):
            from_file(file)
    with pytest.raises(MachineError):
        from_file(tmp_path / "absent.yaml")
    for size in (0, float("nan"), float("inf")):
        with pytest.raises(MachineError, match="memory_gb"):
            described(1, size, None)
        with pytest.raises(MachineError, match="memory_gb"):
            described(1, 24, size)
    with pytest.raises(MachineError, match="-1 GPUs"):
        described(-1, 24, None)


@pytest.mark.parametrize(
    ("visible", "sizes"),
    [
        (None, [80, 24, 48]),
        ("", []),
        ("1", [24]),
        ("2, 0", [48, 80]),
        ("GPU-b", [24]),
        ("0,-1,1", [80]),
        ("0,7,1", [80]),
        ("GPU-", []),  # more than one
    ],
)
def test_what_cuda_does_not_show_is_not_there(
    visible: str | None, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml = CardsNvml(
        FakeCard("GPU-a", memory_gb=80),
        FakeCard("GPU-b", memory_gb=24),
        FakeCard("GPU-c", memory_gb=48),
    )
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [gpu.memory_gb for gpu in this_machine(nvml, visible).gpus] == sizes


def test_equal_cards_are_told_once() -> None:
    gpus = [
        {"name": name, "memory_gb": size}
        for name, size in zip("ABAAB", (96, 24, 96, 96, 24), strict=True)
    ]
    machine = Machine.model_validate({"gpus": gpus, "memory_gb": 512})
    machine = machine.model_copy(update={"onnxruntime_gpu": False})  # else the first has networks
    told = text(worked_out(machine), machine)
    assert told.startswith("3 x A, 2 x B, host memory 512 GB\n")
    assert "GPU 0, 2 to 3, each: 96.0 GB" in told
    assert "GPU 1, 4, each: 24.0 GB" in told


def test_this_machine(tmp_path: Path) -> None:
    class Nvml:
        class NVMLError(Exception):
            pass

        def __getattr__(self, name: str) -> Any:
            raise self.NVMLError

        @staticmethod
        def nvmlInit() -> None:
            raise Nvml.NVMLError

    found = this_machine(Nvml())
    assert found.gpus == []
    assert found.memory_gb * GB == pytest.approx(host_bytes())
    limit = tmp_path / "memory.max"
    limit.write_text("1000000000\n")
    assert host_bytes(limit) == 10**9
    limit.write_text("max\n")
    assert host_bytes(limit) == host_bytes(tmp_path / "absent") > 10**9


def test_json_holds_everything() -> None:
    sizing = as_json(worked_out(described(1, 24, 64)))
    assert json.loads(json.dumps(sizing)) == sizing
    assert sizing["fits"] is True
