"""How a diffusion pipeline is kept, by the card it is on."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from diffusion import card_memory, diffusers_loading
from diffusion.diffusers_engine import DiffusersEngine
from diffusion.placement import (
    ACTIVATIONS,
    CONTEXT,
    KEPT_FREE,
    PLACEMENTS,
    Form,
    Parts,
    choose,
    forms,
    parts_of,
)
from hypothesis import given
from hypothesis import strategies as st
from tryon_errors import CardMemoryError, PipelineError
from tryon_service import TryonService
from tryon_settings import read_settings

from gateway.capacity import diffusion, facts
from gateway.settings.tryon import TryonModelSettings
from tests.support.tryon_model import ROOT, parameters
from tests.support.waiting import wait_for

GB, GIB = 10**9, 2**30
QWEN = Parts(
    int(facts.DIFFUSION["transformer"] * 2), int(facts.DIFFUSION["text encoder"] * 2), GB // 4
)
"""Qwen-Image-Edit in bfloat16."""


def kept(gib: float, *, fp8: bool, **more: Any) -> tuple[str, bool]:
    total = int(gib * GIB)
    form = choose(QWEN, fp8=fp8, **{"total": total, "free": total, **more})
    assert form.needed <= total
    return form.placement, form.fp8


@pytest.mark.parametrize(
    ("gib", "fp8", "base"),
    [
        (139.8, ("resident", False), ("resident", False)),
        (96, ("resident", True), ("resident", False)),
        (80, ("resident", True), ("resident", False)),
        (48, ("resident", True), ("offload", False)),
        (45, ("resident", True), ("resident", True)),  # fp8, as nothing more exact fits
        (40, ("offload", True), ("offload", True)),
        (32, ("offload", True), ("offload", True)),
        (24, ("blocks", False), ("blocks", False)),
        (16, ("blocks", False), ("blocks", False)),
    ],
)
def test_cards_of_every_size(gib: float, fp8: Any, base: Any) -> None:
    assert kept(gib, fp8=True) == fp8
    assert kept(gib, fp8=False) == base


def test_the_page_says_from_which_card_on() -> None:
    page = (ROOT / "docs" / "operations" / "gpu.md").read_text()
    found: dict[tuple[str, bool], dict[bool, int]] = {}
    for fp8 in (True, False):
        for gib in range(12, 150):
            total = gib * GIB
            try:
                form = choose(QWEN, fp8=fp8, total=total, free=total - CONTEXT)
            except ValueError:
                continue
            found.setdefault((form.placement, form.fp8), {}).setdefault(fp8, gib)
    for (placement, small), by_mode in found.items():
        (row,) = re.findall(rf"^\| `{placement}`, {'fp8' if small else 'bfloat16'} .*", page, re.M)
        figures = [cell.strip().partition(",")[0] for cell in row.split("|")[3:5]]
        assert figures == [str(by_mode.get(fp8, "")) for fp8 in (True, False)]


def test_a_budget_and_what_others_hold_are_kept() -> None:
    assert kept(96, fp8=True, budget=70 * GIB) == ("resident", False)
    assert kept(139.8, fp8=True, budget=46 * GIB) == ("resident", True)
    assert kept(139.8, fp8=False, free=30 * GIB) == ("offload", True)
    assert kept(139.8, fp8=False, placement="blocks") == ("blocks", False)


def test_too_little_is_a_sentence_with_the_settings() -> None:
    with pytest.raises(ValueError, match=r"4\.3 GB may be taken: .*tryon\.model\.memory_gb"):
        choose(QWEN, fp8=True, total=24 * GIB, free=4 * GIB)
    with pytest.raises(ValueError, match="are needed on the card"):
        choose(QWEN, fp8=False, total=24 * GIB, free=24 * GIB, placement="resident")


def test_the_plan_counts_with_the_same() -> None:
    assert (ACTIVATIONS, KEPT_FREE, CONTEXT) == (
        facts.DIFFUSION_ACTIVATIONS,
        facts.KEPT_FREE,
        facts.CONTEXT,
    )


@given(
    st.floats(4, 300),
    st.sampled_from(["fp8", "lora", "base"]),
    st.sampled_from(["", *PLACEMENTS]),
    st.sampled_from([0.0, 20.0, 46.0, 70.0]),
)
def test_the_plan_chooses_what_the_engine_chooses(
    gib: float, mode: str, placement: str, budget: float
) -> None:
    given = {"engine": "diffusers", "default_mode": mode, "placement": placement}
    model = TryonModelSettings(**given, memory_gb=budget)
    total = int(gib * GIB)
    parts = Parts(QWEN.transformer, QWEN.encoder, 0)
    name, size = diffusion.needed(model, total)
    free = max(total, round(budget * GIB))  # what the card lacks, the plan's judge tells
    try:
        form = choose(
            parts, fp8=mode == "fp8", total=total, free=free,
            budget=round(budget * GIB), placement=placement,
        )  # fmt: skip
    except ValueError:
        least = [one.needed for one in forms(parts, fp8=mode == "fp8")
                 if placement in ("", one.placement)]  # fmt: skip
        assert size == min(least) + CONTEXT
        return
    assert size == form.needed + CONTEXT
    assert name == f"{form.placement}, {'fp8' if form.fp8 else 'bfloat16'}"


def test_parts_are_the_files_of_a_checkpoint(tmp_path: Path) -> None:
    for part, sizes in {"transformer": (5, 7), "text_encoder": (3,), "vae": (2,)}.items():
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_bytes(b"{}")
        for number, size in enumerate(sizes):
            (tmp_path / part / f"{number}.safetensors").write_bytes(bytes(size))
    assert parts_of(tmp_path) == Parts(12, 3, 2)


def test_every_form_is_smaller_or_slower_than_those_before() -> None:
    for fp8 in (True, False):
        found = list(forms(QWEN, fp8=fp8))
        assert {form.placement for form in found} == set(PLACEMENTS)
        assert len(set(found)) == len(found) == 5


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Files of a checkpoint whose transformer has 4 GB, by name alone (sparse)."""
    for part, size in (("transformer", 4 * GB), ("text_encoder", 2 * GB), ("vae", GB)):
        (tmp_path / part).mkdir()
        with (tmp_path / part / "model.safetensors").open("wb") as file:
            file.truncate(size)
    return tmp_path


@pytest.mark.parametrize(
    ("free", "mode", "form", "landing"),
    [
        (100 * GB, "base", Form("resident", False, 15 * GB), "cuda:1"),
        (14 * GB, "fp8", Form("resident", True, 13 * GB), "cuda:1"),
        (14 * GB, "base", Form("offload", False, 13 * GB), "cpu"),
        (9.5 * GB, "base", Form("blocks", False, 9.4 * GB), "cpu"),
    ],
)
def test_parts_land_where_they_stay(
    free: float,
    mode: str,
    form: Form,
    landing: str,
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def figures(device: torch.device) -> tuple[int, int]:
        asked.append(device)
        return int(free), 100 * GB

    monkeypatch.setattr(torch.cuda, "mem_get_info", figures)
    given = parameters(device="cuda:1", default_mode=mode, model_path=str(checkpoint))
    settings = read_settings(given, checkpoint)
    device = torch.device(settings.device)
    found = diffusers_loading._form(settings, device)
    assert found == (form, torch.device(landing))
    assert asked == [device]  # of the card of the settings, not of the first one


def test_a_large_transformer_is_cast_by_the_cpu(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (checkpoint / "transformer" / "model.safetensors").open("r+b") as file:
        file.truncate(40 * GB)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (36 * GB, 40 * GB))
    given = parameters(device="cuda", default_mode="fp8", model_path=str(checkpoint))
    form, landing = diffusers_loading._form(read_settings(given, checkpoint), torch.device("cuda"))
    assert (form.placement, form.fp8, landing) == ("resident", True, torch.device("cpu"))


def test_no_room_is_told_when_the_engine_loads(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (GB, 100 * GB))
    given = parameters(device="cuda", default_mode="base", model_path=str(checkpoint))
    with pytest.raises(PipelineError, match=r"take another card \(tryon.model.device\)"):
        diffusers_loading._form(read_settings(given, checkpoint), torch.device("cuda"))


def test_memory_is_that_of_the_settings_device(monkeypatch: pytest.MonkeyPatch) -> None:
    reserved = {"cuda": 1, "cuda:0": 1, "cuda:1": 2}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: reserved[device])
    engine = DiffusersEngine(read_settings(parameters(device="cuda:1"), Path()))
    assert engine.memory_bytes() == 0  # nothing is loaded
    engine._pipeline = SimpleNamespace()
    assert engine.memory_bytes() == 2
    assert card_memory.reserved_bytes("cpu") == 0


def test_out_of_memory_says_what_to_do_and_nothing_of_the_library(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(CardMemoryError) as found, card_memory.watched("cuda:1"):
        raise torch.OutOfMemoryError("Tried to allocate 2.00 GiB. /some/path")
    assert "a lower resolution needs less" in found.value.words
    assert found.value.__cause__ is None
    assert "cuda:1" in caplog.text
    assert "tryon.model.memory_gb" in caplog.text
    assert "path" not in caplog.text + str(found.value)
    with pytest.raises(OSError, match="no file"), card_memory.watched("cuda:1"):
        raise OSError("no file")  # the operator's log needs the words


def test_an_engine_that_has_no_room_says_out_of_memory(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(settings: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # loading sets it for good
    module: Any = ModuleType("diffusers.pipelines.qwenimage")
    module.pipeline_qwenimage_edit_plus = SimpleNamespace()
    for name in ("diffusers", "diffusers.pipelines"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("diffusion.diffusers_engine.load_pipeline", full)
    given = parameters(
        engine="diffusers", default_mode="base", model_path=str(checkpoint), device="cuda:1"
    )
    service = TryonService(read_settings(given, checkpoint), lambda running, waiting: None)
    wait_for(lambda: service.describe()["loading_error"] is not None)
    assert service.describe()["loading_error"] == "out_of_memory"
    service.stop()
