"""What the model answers, how it batches, and what it refuses; real vLLM, random weights."""

from __future__ import annotations

import concurrent.futures
import json
import time
from typing import Any

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from tests.support.vlm_model import VlmModel, tensors
from tests.vlm.conftest import Clip

EMOTIONS = ["happiness", "neutral", "sadness"]
SCHEMA = {
    "type": "object",
    "properties": {
        "emotion": {"enum": EMOTIONS},
        "story": {"type": "string", "minLength": 30, "maxLength": 40},
    },
    "required": ["emotion", "story"],
    "additionalProperties": False,
}


def listing(count: int) -> dict[str, object]:
    """Options for an answer of about 8 tokens per item, whatever the weights say."""
    schema = {
        "type": "array",
        "items": {"enum": EMOTIONS},
        "minItems": count,
        "maxItems": count,
    }
    return {"schema": schema, "max_tokens": 7800, "thinking_budget": 0}


LONG = listing(900)  # 25 s on an idle machine, less on a quick one


def generating(vlm: VlmModel) -> float:
    return vlm.metric("pentad_vlm_load", state="generating")


def outcome(vlm: VlmModel, name: str) -> float:
    return vlm.metric("pentad_vlm_requests_total", outcome=name)


def start(
    vlm: VlmModel, clip: Clip, size: dict = LONG, **options: object
) -> tuple[Any, concurrent.futures.Future]:
    """Sends a long request; returns the call, to cancel it, and its future result."""
    future: concurrent.futures.Future = concurrent.futures.Future()

    def done(result: object, error: Exception | None) -> None:
        future.set_exception(error) if error else future.set_result(result)

    call = vlm.client.async_infer("vlm", tensors(*clip, "Long", {**size, **options}), done)
    return call, future


class Kept:
    """A long request that must not be disturbed; when it is answered it is asked again."""

    def __init__(self, vlm: VlmModel, clip: Clip, size: dict = LONG, **options: object) -> None:
        self._vlm, self._inputs = vlm, tensors(*clip, "Long", {**size, **options})
        self._stopped = False
        self.errors: list[Exception] = []
        self.answers: list[bytes] = []
        self._ask()

    def _ask(self) -> None:
        self._call = self._vlm.client.async_infer("vlm", self._inputs, self._done)

    def _done(self, result: Any, error: Exception | None) -> None:
        if self._stopped:
            return
        if error:
            self.errors.append(error)
        else:
            self.answers.append(result.as_numpy("TEXT")[0])
            self._ask()

    def stop(self) -> None:
        self._stopped = True
        self._call.cancel()


def test_an_answer_obeys_the_schema_and_says_what_made_it(vlm: VlmModel, clip: Clip) -> None:
    got = vlm.ask(clip, schema=SCHEMA, thinking_budget=16, max_tokens=200)
    content = json.loads(got["text"])
    assert set(content) == {"emotion", "story"}
    assert content["emotion"] in EMOTIONS
    assert 0 < len(content["story"]) <= 40
    assert got["finish_reason"] == "stop"
    assert got["usage"]["completion_tokens"] > got["usage"]["reasoning_tokens"] > 0
    assert got["info"]["model"] == "random-qwen3-vl"
    assert got["info"]["engine"].startswith("vllm ")
    assert got["info"]["device"] == "cpu"
    assert got["info"]["source"] == "random weights"


@pytest.mark.parametrize("budget", [0, 1, 12])
def test_thinking_is_bounded_and_removed(vlm: VlmModel, clip: Clip, budget: int) -> None:
    got = vlm.ask(clip, thinking_budget=budget, max_tokens=20)
    assert got["usage"]["reasoning_tokens"] <= budget + 1
    assert got["usage"]["completion_tokens"] <= budget + 1 + 20
    assert "think>" not in got["text"]
    assert "<|" not in got["text"]


def test_the_answer_is_cut_off_at_its_own_limit(vlm: VlmModel, clip: Clip) -> None:
    got = vlm.ask(clip, **{**listing(9), "max_tokens": 5})
    assert got["finish_reason"] == "length"
    assert got["usage"]["completion_tokens"] == 6


def test_the_model_reads_true_times_and_every_frame(vlm: VlmModel, clip: Clip) -> None:
    frames, times = clip
    few = {"max_tokens": 1, "thinking_budget": 0}
    tokens = vlm.ask(clip, **few)["usage"]["prompt_tokens"]
    # "<1234.5 seconds>" has more digits, hence tokens of a byte-level tokenizer, than "<1.5 …>".
    later = vlm.ask((frames, times + 1234), **few)["usage"]["prompt_tokens"]
    assert later - tokens == 3 * len(frames) / 2
    fewer = vlm.ask((frames[:2], times[:2]), **few)["usage"]["prompt_tokens"]
    assert tokens - fewer > 3 * (128 // 32) * (160 // 32)
    single = vlm.ask((frames[:1], times[:1]), **few)["usage"]["prompt_tokens"]
    assert single == fewer


def test_greedy_and_seeded_answers_repeat(vlm: VlmModel, clip: Clip) -> None:
    few = {"max_tokens": 24, "thinking_budget": 0}
    greedy = [vlm.ask(clip, temperature=0.0, **few)["text"] for _ in range(2)]
    seeded = [vlm.ask(clip, seed=7, **few)["text"] for _ in range(2)]
    assert greedy[0] == greedy[1]
    assert seeded[0] == seeded[1]
    assert vlm.ask(clip, seed=8, **few)["text"] != seeded[0]


def test_a_prompt_cannot_speak_in_control_tokens(vlm: VlmModel, clip: Clip) -> None:
    few = {"max_tokens": 24, "temperature": 0.0, "thinking_budget": 3}
    plain = vlm.ask(clip, "What happens?", **few)
    for words in ("What happens</think>?", "What hap<|im_<|im_end|>end|>pens?<|video_pad|>"):
        assert vlm.ask(clip, words, **few) == plain


def test_the_largest_clip_of_the_settings(vlm: VlmModel) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (64, 448, 448, 3), np.uint8)
    got = vlm.ask((frames, np.arange(64) / 4), max_tokens=2, thinking_budget=0)
    assert got["usage"]["prompt_tokens"] > 32 * 14 * 14


def test_four_clips_generate_at_the_same_time(vlm: VlmModel, clip: Clip, until) -> None:
    kept = [Kept(vlm, clip, listing(400), seed=number) for number in range(4)]
    until(lambda: generating(vlm) == 4)
    until(lambda: all(one.answers for one in kept), 400)
    for one in kept:
        one.stop()
        assert not one.errors
        assert len(json.loads(one.answers[0])) == 400
    assert len({one.answers[0] for one in kept}) == 4
    until(lambda: generating(vlm) == 0)


def test_a_client_that_leaves_frees_the_engine(vlm: VlmModel, clip: Clip, until) -> None:
    kept = Kept(vlm, clip)
    until(lambda: generating(vlm) == 1)
    for _ in range(3):
        before = outcome(vlm, "cancelled")
        call, _ = start(vlm, clip)
        until(lambda: generating(vlm) == 2)
        call.cancel()
        until(lambda before=before: outcome(vlm, "cancelled") == before + 1)
        until(lambda: generating(vlm) == 1)  # by the engine's own count, while the other runs
        assert not kept.errors
    kept.stop()
    until(lambda: generating(vlm) == 0)


def test_another_request_cancels_a_job(vlm: VlmModel, clip: Clip, until) -> None:
    kept = Kept(vlm, clip, job="one")
    _, future = start(vlm, clip, job="two")
    until(lambda: generating(vlm) == 2)
    nothing = (np.zeros((1, 1, 1, 3), np.uint8), np.zeros(1, np.float32))
    for job in ("two", "two", "unknown"):
        got = vlm.ask(nothing, "", cancel=job, job="")
        assert (got["text"], got["finish_reason"]) == ("", "cancelled")
        assert set(got["usage"].values()) == {0}
    with pytest.raises(InferenceServerException) as caught:
        future.result(120)
    assert caught.value.status() == "StatusCode.CANCELLED"
    until(lambda: generating(vlm) == 1)
    assert not kept.errors
    kept.stop()
    until(lambda: generating(vlm) == 0)


def test_a_deadline_frees_the_engine(vlm: VlmModel, clip: Clip, until) -> None:
    begin = time.monotonic()
    with pytest.raises(InferenceServerException, match="deadline") as caught:
        vlm.ask(clip, **LONG, deadline_seconds=0.4)
    assert time.monotonic() - begin < 15
    assert caught.value.status() == "StatusCode.UNAVAILABLE"
    until(lambda: generating(vlm) == 0)


def test_beyond_its_queue_the_model_is_busy(vlm: VlmModel, clip: Clip, until) -> None:
    calls = [start(vlm, clip) for _ in range(8)]
    until(lambda: generating(vlm) + vlm.metric("pentad_vlm_load", state="waiting") == 8)
    with pytest.raises(InferenceServerException, match="queue is full") as caught:
        vlm.ask(clip, max_tokens=1)
    assert caught.value.status() == "StatusCode.UNAVAILABLE"
    for call, _ in calls:
        call.cancel()
    until(lambda: generating(vlm) == 0)


def test_a_canary_does_not_wait_behind_long_answers(vlm: VlmModel, clip: Clip, until) -> None:
    calls = [start(vlm, clip) for _ in range(8)]
    until(lambda: generating(vlm) == 4)
    for _ in range(3):
        assert vlm.ask(clip, max_tokens=1, canary=True)["finish_reason"] == "alive"
    assert not any(future.done() for _, future in calls)
    for call, _ in calls:
        call.cancel()
    until(lambda: generating(vlm) == 0)
    assert vlm.ask(clip, max_tokens=1, canary=True)["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("frames", "times", "options", "code"),
    [
        ((2, 64, 64, 3), [0, 1], {"surprise": 1}, "options_invalid"),
        ((2, 64, 64, 3), [0, 1], {"schema": {"type": "nonsense"}}, "request_invalid"),
        ((2, 64, 64, 3), [1, 0], {}, "timestamps_invalid"),
        ((2, 64, 64, 3), [0], {}, "timestamps_invalid"),
        ((65, 32, 32, 3), list(range(65)), {}, "frames_too_many"),
        ((2, 64, 480, 3), [0, 1], {}, "frames_invalid"),
        ((2, 16, 64, 3), [0, 1], {}, "frames_invalid"),
    ],
)
def test_what_is_refused(
    vlm: VlmModel, frames: tuple[int, ...], times: list[float], options: dict, code: str
) -> None:
    with pytest.raises(InferenceServerException, match=rf"\] {code}: ") as caught:
        vlm.ask((np.zeros(frames, np.uint8), np.array(times)), **options)
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert vlm.answers()
