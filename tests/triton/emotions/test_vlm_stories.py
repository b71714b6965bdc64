"""Stories of a VLM: frames and options get there, many at once, and cancellations too."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tritonclient.utils import InferenceServerException

from tests.support.clips import carphone, encode, talking
from tests.support.emotion_models import EmotionModels, story_inputs

SECONDS = 60


@pytest.fixture
def vlm(emotion_models: EmotionModels) -> Iterator[EmotionModels]:
    emotion_models.load("vlm")
    yield emotion_models
    emotion_models.unload("vlm")


def ask(models: EmotionModels, prompt: str, **call: object) -> str:
    return models.tell(carphone(), engine="vlm", options={"prompt": prompt, "frames": 2}, **call)[
        "story"
    ]


def test_frames_times_and_options_get_there(vlm: EmotionModels) -> None:
    options = {"prompt": "echo", "frames": 3, "max_tokens": 9, "temperature": 0.5, "unknown": 1}
    told = vlm.tell(encode(talking(640, 480, 75)), engine="vlm", options=options)
    assert (told["engine"], told["model"]) == ("vlm", "a script")
    assert [frame["timestamp_s"] for frame in told["frames"]] == [0.48, 1.48, 2.48]
    got = json.loads(told["story"])
    assert got["shape"] == [3, 320, 448, 3]
    assert got["times"] == pytest.approx([0.48, 1.48, 2.48])
    assert got["options"] == ["job", "max_tokens", "temperature"]


def test_pictures_are_asked_for_in_a_schema(vlm: EmotionModels, astronaut: bytes) -> None:
    told = vlm.tell(images=[astronaut] * 3, engine="vlm")
    assert [frame["frame"] for frame in told["frames"]] == [0, 1, 2]
    assert {frame["emotion"] for frame in told["frames"]} == {"contempt"}
    assert told["story"] == "3 images analysed: contempt dominates."


def test_more_pictures_than_the_vlm_takes_at_once(vlm: EmotionModels, astronaut: bytes) -> None:
    told = vlm.tell(images=[astronaut] * 20, engine="vlm")
    assert [frame["frame"] for frame in told["frames"]] == list(range(20))


def test_the_timeline_stands_beside_the_story(vlm: EmotionModels) -> None:
    told = vlm.tell(carphone(), engine="vlm", options={"prompt": "echo", "frames": 8})
    seen = vlm.tell(carphone(), options={"frames": 8})
    assert told["emotions"]
    assert told["emotions_model"] == seen["model"]
    assert {one["emotion"] for one in told["emotions"]} <= {
        one["emotion"] for one in seen["emotions"]
    } | {"neutral"}


def test_clips_are_cut_to_what_the_vlm_takes(vlm: EmotionModels) -> None:
    told = vlm.tell(carphone(), engine="vlm", options={"prompt": "echo", "frames": 100})
    assert json.loads(told["story"])["shape"][0] == told["frames_analyzed"] == 64


def test_a_late_vlm_is_a_deadline(vlm: EmotionModels) -> None:
    with pytest.raises(InferenceServerException, match="the deadline has passed") as caught:
        ask(vlm, "late")
    assert caught.value.status() == "StatusCode.UNAVAILABLE"


def test_four_stories_are_written_at_once(vlm: EmotionModels) -> None:
    with ThreadPoolExecutor(4) as pool:
        stories = list(pool.map(lambda _: ask(vlm, "together"), range(4)))
    assert stories == ["four at once"] * 4


def test_a_cancellation_is_passed_on(vlm: EmotionModels) -> None:
    results: list[object] = []
    call = vlm.client.async_infer(
        "emotion_story",
        story_inputs(carphone(), engine="vlm", options={"prompt": "wait", "frames": 2}),
        callback=lambda result, error: results.append(error),
    )
    wait_for(vlm, "waiting")
    call.cancel()
    wait_for(vlm, "waiting cancelled")


def wait_for(models: EmotionModels, history: str) -> None:
    end = time.monotonic() + SECONDS
    while (found := ask(models, "history")) != f"so far: {history}":
        assert time.monotonic() < end, found
        time.sleep(0.1)


def test_a_vlm_that_fails_is_unavailable(vlm: EmotionModels) -> None:
    with pytest.raises(InferenceServerException, match=r"vlm_unavailable: .*engine is dead"):
        ask(vlm, "fail")


def test_a_vlm_that_is_not_there_is_unavailable(emotion_models: EmotionModels) -> None:
    with pytest.raises(InferenceServerException, match="vlm_unavailable: ") as caught:
        ask(emotion_models, "echo")
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert emotion_models.tell(carphone())["engine"] == "expression-timeline"
