"""Options, commands and parameters."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tryon_errors import InputError
from tryon_request import (
    CATEGORIES,
    DEFAULT_PROMPT,
    MAX_SAMPLES,
    UPPER,
    parse_command,
    parse_options,
)
from tryon_settings import TryonSettings, read_settings

from gateway.services.tryon import forms
from tests.support.tryon_model import parameters


def settings(**changed: str) -> TryonSettings:
    return read_settings(parameters(**changed), Path("/nonexistent"))


def parsed(found: Any, **changed: str) -> Any:
    return parse_options(json.dumps(found).encode(), settings(**changed))


@pytest.mark.parametrize(("mode", "steps", "cfg"), [("fp8", 4, 1), ("lora", 4, 1), ("base", 40, 4)])
def test_steps_and_guidance_follow_the_mode(mode: str, steps: int, cfg: float) -> None:
    asked = parsed({"mode": mode})
    assert (asked.steps, asked.cfg) == (steps, cfg)
    configured = parsed({}, default_mode=mode)
    assert (configured.mode, configured.steps, configured.cfg) == (mode, steps, cfg)


def test_defaults_and_nulls() -> None:
    made = parsed({"steps": None, "prompt": None, "job_id": "a", "category": "auto"})
    assert (made.seed, made.prompt, made.output_format) == (42, DEFAULT_PROMPT, "png")
    assert (made.restore, made.given) == (False, {"job_id", "category"})
    assert made.num_samples == 1
    assert parsed({"category": "dresses"}, engine="diffusers").restore
    assert parsed({}, compress_output="true").output_format == "jpeg"
    assert parsed({}, create_comparison="true").comparison


@pytest.mark.parametrize(
    "found",
    [
        [],
        3,
        {"seed": -1},
        {"seed": 2**63},
        {"seed": True},
        {"seed": "1"},
        {"steps": 0},
        {"steps": 4.0},
        {"cfg": "high"},
        {"cfg": float("nan")},
        {"prompt": 7},
        {"prompt": "x" * 4001},
        {"mode": "fast"},
        {"resolution": "8k"},
        {"category": "dresses"},
        {"category": "shoes"},
        {"num_samples": 0},
        {"num_samples": 2},
        {"num_samples": True},
        {"garment_photo_type": "drawing"},
        {"output_format": "gif"},
        {"restore": "yes"},
    ],
    ids=str,
)
def test_bad_options_are_refused(found: Any) -> None:
    with pytest.raises(InputError):
        parsed(found)


@pytest.mark.parametrize("engine", ["diffusers", "lightx2v", "remote"])
def test_engines_that_draw_take_any_garment_and_make_several(engine: str) -> None:
    prompts = {
        category: parsed({"category": category}, engine=engine).prompt
        for category in ("auto", "upper", "tops", "lower", "bottoms", "dresses", "one-pieces")
    }
    assert prompts["auto"] == DEFAULT_PROMPT
    assert prompts["tops"] == prompts["upper"] != prompts["bottoms"] == prompts["lower"]
    assert prompts["dresses"] == prompts["one-pieces"] not in (prompts["tops"], prompts["bottoms"])
    assert parsed({"category": "tops", "prompt": "mine"}, engine=engine).prompt == "mine"
    assert parsed({"num_samples": 4}, engine=engine).num_samples == 4
    for wrong in ({"num_samples": 5}, {"category": "shoes"}):
        with pytest.raises(InputError):
            parsed(wrong, engine=engine)


def test_the_gateway_takes_what_the_model_knows() -> None:
    assert get_args(forms.Category) == CATEGORIES
    assert (forms.WARP_CATEGORIES, forms.MAX_SAMPLES) == (UPPER, MAX_SAMPLES)


def test_steps_and_guidance_of_a_remote_server_are_its_own() -> None:
    assert (parsed({}, engine="remote").steps, parsed({}, engine="remote").cfg) == (None, None)
    chosen = parsed({"steps": 3, "cfg": 2}, engine="remote")
    assert (chosen.steps, chosen.cfg) == (3, 2.0)
    configured = parsed({"mode": "base"}, engine="remote", default_steps="5", default_cfg="1")
    assert (configured.steps, configured.cfg) == (5, 1.0)


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(text: bytes) -> None:
    for parse in (lambda: parse_options(text, settings()), lambda: parse_command(text)):
        with contextlib.suppress(InputError):
            parse()


def test_describe_is_the_command() -> None:
    assert parse_command(b'{"op": "describe"}') == "describe"
    with pytest.raises(InputError):
        parse_command(b'{"op": "shutdown"}')


def test_the_installation_wins(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({"default_seed": "7", "model_path": "ck"}))
    found = read_settings(parameters(), tmp_path)
    assert (found.default_seed, found.model_path) == (7, tmp_path / "ck")
    assert found.restore is False


@pytest.mark.parametrize(
    "wrong",
    [{"engine": "magic"}, {"restore": "maybe"}, {"threads": "-1"}, {"default_mode": "x"}],
    ids=str,
)
def test_wrong_parameters_are_told_at_load(wrong: dict[str, str]) -> None:
    with pytest.raises((ValueError, KeyError)):
        settings(**wrong)
