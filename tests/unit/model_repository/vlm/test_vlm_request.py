from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vlm_request import (
    Limits,
    RefusedRequestError,
    check_clip,
    parse_options,
    video_item,
    without_control_tokens,
)
from vlm_settings import read_settings

from gateway.model_config import parameters, read_config
from tests.support.model_code import REPOSITORY

LIMITS = Limits(frames=8, side=448, tokens=100, thinking=50, seconds=30)
TOKENS = ["<|im_start|>", "<|im_end|>", "<think>", "</think>"]


def options(**given: object) -> object:
    return parse_options(json.dumps(given).encode(), LIMITS)


def test_nothing_asked_gets_the_limits() -> None:
    for text in (b"", b"{}", b'{"max_tokens": null, "job": ""}'):
        found = parse_options(text, LIMITS)
        assert (found.max_tokens, found.thinking_budget, found.deadline_seconds) == (100, 50, 30)
        assert found.temperature is found.seed is found.schema is found.job is found.cancel is None


def test_what_is_asked() -> None:
    schema = {"type": "object"}
    found = options(max_tokens=5, thinking_budget=0, temperature=0, seed=3, schema=schema, job="a")
    assert (found.max_tokens, found.thinking_budget, found.seed) == (5, 0, 3)
    assert found.temperature == 0.0
    assert (found.schema, found.job) == (schema, "a")


@pytest.mark.parametrize(
    "given_options",
    [
        {"max_tokens": 0},
        {"max_tokens": 101},
        {"max_tokens": True},
        {"max_tokens": 1.5},
        {"max_tokens": "5"},
        {"thinking_budget": -1},
        {"thinking_budget": 51},
        {"temperature": 2.1},
        {"temperature": "hot"},
        {"temperature": float("nan")},
        {"seed": -1},
        {"seed": 2**63},
        {"deadline_seconds": 0},
        {"deadline_seconds": 31},
        {"schema": []},
        {"schema": {"enum": ["x" * 20_000]}},
        {"job": 1},
        {"job": "x" * 129},
        {"cancel": ["a"]},
        {"stop": "now"},
    ],
)
def test_options_out_of_range_are_refused(given_options: dict[str, object]) -> None:
    with pytest.raises(RefusedRequestError, match=r"^options_invalid: "):
        options(**given_options)


@pytest.mark.parametrize("text", [b"[]", b"nonsense", b"\xff", b"[" * 100_000, b"3"])
def test_options_that_are_no_object(text: bytes) -> None:
    with pytest.raises(RefusedRequestError, match=r"^options_invalid: "):
        parse_options(text, LIMITS)


def test_clips_that_fit() -> None:
    check_clip((1, 32, 32, 3), [0.0], LIMITS)
    check_clip((8, 448, 64, 3), np.arange(8, dtype=np.float32), LIMITS)
    check_clip((2, 32, 32, 3), [1.0, 1.0], LIMITS)


@pytest.mark.parametrize(
    ("shape", "times", "code"),
    [
        ((0, 32, 32, 3), [], "frames_invalid"),
        ((1, 32, 32, 4), [0], "frames_invalid"),
        ((1, 31, 32, 3), [0], "frames_invalid"),
        ((1, 32, 449, 3), [0], "frames_invalid"),
        ((9, 32, 32, 3), list(range(9)), "frames_too_many"),
        ((2, 32, 32, 3), [0], "timestamps_invalid"),
        ((2, 32, 32, 3), [0, float("nan")], "timestamps_invalid"),
        ((2, 32, 32, 3), [-1, 0], "timestamps_invalid"),
        ((2, 32, 32, 3), [0, float("inf")], "timestamps_invalid"),
        ((2, 32, 32, 3), [2, 1], "timestamps_invalid"),
    ],
)
def test_clips_that_do_not(shape: tuple[int, ...], times: list[float], code: str) -> None:
    with pytest.raises(RefusedRequestError, match=f"^{code}: "):
        check_clip(shape, times, LIMITS)


def test_times_survive_as_frame_numbers() -> None:
    frames = np.zeros((3, 32, 64, 3), np.uint8)
    _, metadata = video_item(frames, np.array([0, 0.04, 12.48], np.float32))
    times = [number / metadata["fps"] for number in metadata["frames_indices"]]
    assert times == pytest.approx([0, 0.04, 12.48], abs=5e-4)
    assert (metadata["width"], metadata["height"]) == (64, 32)
    assert metadata["total_num_frames"] > max(metadata["frames_indices"])


def test_a_single_frame_is_shown_twice() -> None:
    frame = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(1, 32, 32, 3)
    frames, metadata = video_item(frame, np.array([1.5], np.float32))
    assert metadata["frames_indices"] == [1500, 1500]
    assert (frames == frame).all()
    assert len(frames) == 2


@given(st.lists(st.sampled_from([*TOKENS, "<|im_", "end|>", "<", "think>", "hello ", "/"])))
def test_no_control_token_survives(parts: list[str]) -> None:
    cleaned = without_control_tokens("".join(parts), TOKENS)
    assert not any(token in cleaned for token in TOKENS)


def test_plain_words_stay() -> None:
    words = "2 < 3 and 3 > 2; think </b>"
    assert without_control_tokens(words, TOKENS) == words


def config() -> dict[str, str]:
    return parameters(read_config(REPOSITORY / "vlm" / "config.pbtxt"))


def test_the_default_configuration() -> None:
    settings = read_settings(config(), REPOSITORY / "vlm")
    assert settings.name == settings.model == "Qwen/Qwen3-VL-8B-Thinking"
    assert not settings.local
    arguments = settings.arguments
    assert arguments["gpu_memory_utilization"] == 0.85
    assert arguments["reasoning_parser"] == "qwen3"
    # The largest clip fits a step of the engine, and with all it may say, the model's length.
    clip = settings.limits.frames // 2 * ((settings.limits.side // 32) ** 2 + 12)
    assert clip < arguments["max_num_batched_tokens"]
    said = settings.limits.tokens + settings.limits.thinking
    assert clip + said < arguments["max_model_len"]


def test_a_checkpoint_in_a_folder_hides_its_path(tmp_path: object) -> None:
    (tmp_path / "1" / "tiny").mkdir(parents=True)  # type: ignore[operator]
    parameters = {**config(), "model": "1/tiny", "engine_options": '{"seed": 3, "dtype": "half"}'}
    settings = read_settings(parameters, tmp_path)
    assert settings.local
    assert settings.name == "tiny"
    assert settings.arguments["model"].endswith("/1/tiny")
    assert settings.arguments["seed"] == 3
    assert settings.arguments["dtype"] == "half"


@pytest.mark.parametrize(
    "wrong", [{"enforce_eager": "yes"}, {"engine_options": "[]"}, {"max_frames": "many"}]
)
def test_wrong_parameters(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_settings({**config(), **wrong}, REPOSITORY / "vlm")
