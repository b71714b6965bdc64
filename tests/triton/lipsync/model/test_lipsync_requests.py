"""Single requests: types, channels, audio, transports, refusals, figures."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tritonclient import grpc
from tritonclient.utils import InferenceServerException, shared_memory

from tests.support.lipsync_model import (
    MODEL,
    LipsyncModel,
    inputs,
    outputs,
    serving,
    tensor,
)
from tests.support.lipsync_tenants import Tenant, audio, frames, made
from tests.support.tenant_graphs import loop, sizes_from_the_frame


@pytest.fixture
def tenant(lipsync: LipsyncModel, tenants: list[Tenant]) -> Tenant:
    lipsync.load(tenants[0].name, tenants[0].file)
    return tenants[0]


def refusal(call, *arguments, **named) -> str:
    with pytest.raises(InferenceServerException) as caught:
        call(*arguments, **named)
    return f"{caught.value.status()} {caught.value.message()}"


def test_a_tenant_of_full_width_answers_as_its_own_file(
    lipsync: LipsyncModel, tmp_path: Path
) -> None:
    full = made(tmp_path, "full-width", 7, width=1.0)
    report = lipsync.load(full.name, full.file)
    assert report["imported"]
    assert 48_600_000 < report["memory_bytes"] < 55_000_000
    given, sound = frames(2, seed=3), audio(seed=3)
    got = lipsync.ask(full.name, given, sound)
    assert np.abs(got - full.plain(given, sound)).max() <= 1e-5
    lipsync.unload(full.name)


@pytest.mark.parametrize("count", [1, 5, 50])
def test_batches_with_one_block_of_audio(lipsync: LipsyncModel, tenant: Tenant, count: int) -> None:
    given, sound = frames(count, seed=count), audio(seed=count)
    answer = lipsync.answer(tenant.name, given, sound)
    expected = tenant.plain(given[-3:], sound)
    np.testing.assert_allclose(answer.as_numpy("MOUTH_FP32")[-3:], expected, atol=1e-5)
    queue_ms, compute_ms = answer.as_numpy("TIMING")
    assert 0 <= queue_ms < 60_000
    assert 0 < compute_ms < 60_000


def test_audio_per_frame(lipsync: LipsyncModel, tenant: Tenant) -> None:
    given, sound = np.repeat(frames(1), 3, axis=0), audio(3)
    got = lipsync.ask(tenant.name, given, sound)
    np.testing.assert_allclose(got, tenant.plain(given, sound), atol=1e-5)
    assert np.abs(got[0] - got[1]).max() > 1e-4


@pytest.mark.parametrize("kind", ["FP32", "FP16", "UINT8"])
def test_three_channels_answer_as_six(lipsync: LipsyncModel, tenant: Tenant, kind: str) -> None:
    sound = audio()
    six, three = frames(2, seed=4), frames(2, seed=4, channels=3)
    if kind == "UINT8":
        six, three = (np.round(one * 255).astype(np.uint8) for one in (six, three))
    six, three = (one.astype(np.float16) if kind == "FP16" else one for one in (six, three))
    got = lipsync.ask(tenant.name, three, sound)
    np.testing.assert_array_equal(got, lipsync.ask(tenant.name, six, sound))
    plain = six.astype(np.float32) / (255 if kind == "UINT8" else 1)
    np.testing.assert_allclose(got, tenant.plain(plain, sound), atol=1e-5)


def test_answers_in_other_types(lipsync: LipsyncModel, tenant: Tenant) -> None:
    given, sound = frames(2), audio()
    full = lipsync.ask(tenant.name, given, sound)
    half = lipsync.ask(tenant.name, given, sound, "FP16")
    np.testing.assert_array_equal(half, full.astype(np.float16))
    small = lipsync.ask(tenant.name, given, sound, "UINT8")
    np.testing.assert_array_equal(small, np.rint(full * np.float32(255)).astype(np.uint8))


def test_registered_shared_memory_carries_both_ways(lipsync: LipsyncModel, tenant: Tenant) -> None:
    given, sound = frames(4, seed=8), audio(seed=8)
    names = [f"lipsync_{uuid.uuid4().hex}" for _ in range(2)]
    sizes = [given.nbytes, 4 * 3 * 320 * 320 * 4]
    regions = [
        shared_memory.create_shared_memory_region(name, f"/{name}", size)
        for name, size in zip(names, sizes, strict=True)
    ]
    try:
        for name, size in zip(names, sizes, strict=True):
            lipsync.client.register_system_shared_memory(name, f"/{name}", size)
        shared_memory.set_shared_memory_region(regions[0], [given])
        sent = inputs(tenant.name, given, sound)
        sent[1] = grpc.InferInput("FRAMES_FP32", list(given.shape), "FP32")
        sent[1].set_shared_memory(names[0], sizes[0])
        wanted = grpc.InferRequestedOutput("MOUTH_FP32")
        wanted.set_shared_memory(names[1], sizes[1])
        for _ in range(3):
            lipsync.client.infer(MODEL, sent, outputs=[wanted])
        got = shared_memory.get_contents_as_numpy(regions[1], np.float32, [4, 3, 320, 320])
        np.testing.assert_allclose(got, tenant.plain(given, sound), atol=1e-5)
    finally:
        for name, region in zip(names, regions, strict=True):
            lipsync.client.unregister_system_shared_memory(name)
            shared_memory.destroy_shared_memory_region(region)


def test_wrong_requests_are_refused_in_words(lipsync: LipsyncModel, tenant: Tenant) -> None:
    one, sound = frames(1), audio()
    for given, block, code in (
        (np.zeros((51, 3, 320, 320), np.uint8), sound, "frames_invalid"),
        (np.zeros((0, 6, 320, 320), np.float32), sound, "frames_invalid"),
        (np.zeros((1, 4, 320, 320), np.float32), sound, "frames_invalid"),
        (one, audio(2), "audio_invalid"),
    ):
        said = refusal(lipsync.ask, tenant.name, given, block)
        assert said.startswith(f"StatusCode.INVALID_ARGUMENT {code}: "), said
    assert "tenant_not_loaded: " in refusal(lipsync.ask, "nobody", one, sound)
    assert "command_invalid: " in refusal(lipsync.ask, "", one, sound)
    both = [*inputs(tenant.name, one, sound), tensor("FRAMES_UINT8", one.astype(np.uint8))]
    assert "frames_invalid: " in refusal(lipsync.client.infer, MODEL, both)
    alone = inputs(tenant.name, one, sound)[:1]
    assert "frames_invalid: " in refusal(lipsync.client.infer, MODEL, alone)
    assert "command_invalid: " in refusal(lipsync.command, "erase")
    assert "command_invalid: " in refusal(lipsync.command, "load", "a", path="relative.onnx")
    np.testing.assert_allclose(
        lipsync.ask(tenant.name, one, sound), tenant.plain(one, sound), atol=1e-5
    )


def test_without_a_choice_of_outputs_the_full_precision_is_made(
    lipsync: LipsyncModel, tenant: Tenant
) -> None:
    given, sound = frames(1), audio()
    answer = lipsync.client.infer(MODEL, inputs(tenant.name, given, sound))
    np.testing.assert_allclose(answer.as_numpy("MOUTH_FP32"), tenant.plain(given, sound), atol=1e-5)
    assert answer.as_numpy("MOUTH_UINT8") is None


def test_statistics_and_metrics_count_what_happened(fresh: Tenant, tmp_path: Path) -> None:
    # A server of its own: metrics come late, and those of other tests would be counted here.
    with serving(tmp_path / "server", workers="2") as model:
        count_what_happens(model, fresh)


def count_what_happens(lipsync: LipsyncModel, fresh: Tenant) -> None:
    report = lipsync.load(fresh.name, fresh.file)
    lipsync.ask(fresh.name, frames(3), audio())
    stats = lipsync.stats()
    row = stats["tenants"][fresh.name]
    assert row["frames"] == 3
    assert row["in_flight"] == 0
    assert row["memory_bytes"] == report["memory_bytes"] > 0
    assert row["graph"] == report["graph"]
    assert row["loaded_unix_ms"] > 1.7e12
    assert stats["device"]["kind"] == "cpu"
    assert stats["device"]["memory_used_bytes"] > 2**25
    assert stats["engine"].startswith("onnxruntime ")
    assert stats["model"] == MODEL
    lipsync.wait_metric(1, "requests_total", outcome="answered")
    lipsync.wait_metric(3, "frames_total")
    assert lipsync.unload(fresh.name)
    assert not lipsync.unload(fresh.name)
    assert fresh.name not in lipsync.stats()["tenants"]


def test_files_that_cannot_be_served_do_not_concern_others(
    lipsync: LipsyncModel, tenant: Tenant, tmp_path: Path
) -> None:
    whole = tenant.file.read_bytes()
    for name, content, code in (
        ("empty", b"", "tenant_file_invalid"),
        ("text", b"model: none\n", "tenant_file_invalid"),
        ("cut", whole[:-1000], "tenant_file_invalid"),
        ("other", (Path(__file__)).read_bytes(), "tenant_file_invalid"),
    ):
        file = tmp_path / f"{name}.onnx"
        file.write_bytes(content)
        said = refusal(lipsync.load, name, file)
        assert said.startswith(f"StatusCode.INVALID_ARGUMENT {code}: "), said
        assert str(tmp_path) not in said
    assert "tenant_file_missing: " in refusal(lipsync.load, "gone", tmp_path / "gone.onnx")
    given, sound = frames(1), audio()
    np.testing.assert_allclose(
        lipsync.ask(tenant.name, given, sound), tenant.plain(given, sound), atol=1e-5
    )


def test_graphs_that_could_cost_anything_are_refused_beside_frames(
    lipsync: LipsyncModel, tenant: Tenant, tmp_path: Path
) -> None:
    zeros = sizes_from_the_frame([("ConstantOfShape", ["n"], ["x"], {})])
    files = {"loop": loop(), "frame": zeros}
    for name, graph in files.items():
        (tmp_path / f"{name}.onnx").write_bytes(graph.SerializeToString())
    given, sound = frames(1), audio()
    with ThreadPoolExecutor() as pool:
        loads = [
            pool.submit(refusal, lipsync.load, name, tmp_path / f"{name}.onnx") for name in files
        ]
        np.testing.assert_allclose(
            lipsync.ask(tenant.name, given, sound), tenant.plain(given, sound), atol=1e-5
        )
        for load in loads:
            assert "INVALID_ARGUMENT tenant_contract: " in load.result(120)


def test_an_import_is_made_once_and_used_again(lipsync: LipsyncModel, fresh: Tenant) -> None:
    assert lipsync.load(fresh.name, fresh.file)["imported"]
    manifest = next((fresh.file.parent / ".pentad" / fresh.file.name).glob("*.json"))
    assert json.loads(manifest.read_text())["quality"]["max_difference"] <= 1e-5
    lipsync.unload(fresh.name)
    assert not lipsync.load(fresh.name, fresh.file)["imported"]
    lipsync.unload(fresh.name)


def test_the_outputs_that_are_asked_for_are_the_ones_that_come(
    lipsync: LipsyncModel, tenant: Tenant
) -> None:
    answer = lipsync.client.infer(
        MODEL, inputs(tenant.name, frames(1), audio()), outputs=outputs("UINT8")
    )
    assert {output.name for output in answer.get_response().outputs} == {"MOUTH_UINT8", "TIMING"}
