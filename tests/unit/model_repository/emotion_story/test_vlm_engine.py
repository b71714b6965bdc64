"""What the VLM is asked, and that only usable answers become results."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from clips.sampling import SampledClip
from stories.vlm_engine import LABELS, VlmError, read_emotions, schema, tell_clip, tell_images
from story_request import OptionsError, StoryOptions, read_options

CLIP = SampledClip(np.zeros((3, 250, 448, 3), np.uint8), (0.5, 1.5, 2.5), 3.0, False)


class Vlm:
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    def __call__(
        self, frames: np.ndarray, times: list[float], prompt: str, options: dict[str, Any]
    ) -> tuple[str, str]:
        self.frames, self.times, self.prompt, self.options = frames, times, prompt, options
        return self.answer, "some-vlm"


def entries(count: int) -> str:
    return json.dumps(
        {
            "emotions": [
                {"frame": n, "emotion": "contempt", "confidence": 0.5, "description": "A sneer."}
                for n in range(count)
            ]
        }
    )


SEEN = {"emotions": [{"emotion": "happiness"}], "frames": [{"frame": 0}], "model": "a classifier"}


def test_a_story_is_what_the_vlm_says() -> None:
    vlm = Vlm("  She smiles.\n")
    told = tell_clip(CLIP, read_options(b"vlm", b'{"max_tokens": 50}'), lambda: None, vlm)
    assert (told["story"], told["engine"], told["model"]) == ("She smiles.", "vlm", "some-vlm")
    assert told["frames"][1] == {"frame": 1, "timestamp_s": 1.5}
    assert vlm.frames.shape == (3, 256, 448, 3)
    assert vlm.times == (0.5, 1.5, 2.5)
    assert "3 second clip" in vlm.prompt
    assert vlm.options == {"max_tokens": 50}


def test_another_prompt_replaces_the_built_in_one() -> None:
    vlm = Vlm("x")
    tell_clip(CLIP, read_options(b"vlm", b'{"prompt": "Who is {angry}?"}'), lambda: SEEN, vlm)
    assert vlm.prompt == "Who is {angry}?"


def test_an_empty_story_is_none() -> None:
    with pytest.raises(VlmError):
        tell_clip(CLIP, read_options(b"vlm", b""), lambda: SEEN, Vlm(" \n"))


def test_the_timeline_beside_a_story_names_its_own_model() -> None:
    told = tell_clip(CLIP, read_options(b"vlm", b""), lambda: SEEN, Vlm("x"))
    assert (told["emotions"], told["frames"]) == (SEEN["emotions"], SEEN["frames"])
    assert (told["model"], told["emotions_model"]) == ("some-vlm", "a classifier")
    told = tell_clip(CLIP, read_options(b"vlm", b""), lambda: None, Vlm("x"))
    assert (told["emotions"], told["emotions_model"]) == ([], None)


def test_many_pictures_are_asked_about_in_several_questions() -> None:
    asked: list[tuple[int, int]] = []

    def vlm(
        frames: np.ndarray, times: list[float], prompt: str, options: dict[str, Any]
    ) -> tuple[str, str]:
        asked.append((len(frames), options["max_tokens"]))
        return entries(len(frames)), "some-vlm"

    images = [np.full((64, 64, 3), 9, np.uint8)] * 19
    told = tell_images(images, 448, read_options(b"vlm", b'{"max_tokens": 400}'), vlm)
    assert [one["frame"] for one in told["frames"]] == list(range(19))
    assert sorted(asked) == [(3, 400), (8, 960), (8, 960)]
    assert told["story"] == "19 images analysed: contempt dominates."


def test_pictures_are_judged_in_the_format_of_the_schema() -> None:
    vlm = Vlm(entries(2))
    images = [np.full((100, 60, 3), 9, np.uint8), np.full((40, 90, 3), 9, np.uint8)]
    told = tell_images(images, 448, read_options(b"vlm", b""), vlm)
    assert [one["emotion"] for one in told["frames"]] == ["contempt"] * 2
    assert told["story"] == "2 images analysed: contempt dominates."
    assert vlm.options["schema"] == schema(2)
    assert vlm.frames.shape[0] == 2
    assert not any(side % 32 for side in vlm.frames.shape[1:3])
    assert all(label in vlm.prompt for label in LABELS)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "no JSON",
        "[]",
        '{"emotions": null}',
        '{"emotions": [{"frame": 0}]}',
        entries(1),
        entries(3),
        entries(2)[:-5],
        entries(2).replace("contempt", "boredom"),
        entries(2).replace("0.5", '"high"'),
    ],
)
def test_an_answer_in_another_format_is_none(answer: str) -> None:
    with pytest.raises(VlmError):
        read_emotions(answer, 2)


def test_confidences_stay_shares() -> None:
    found = read_emotions(entries(1).replace("0.5", "7"), 1)
    assert found[0]["confidence"] == 1.0


def test_options() -> None:
    asked = b'{"frames": 8, "prompt": "", "temperature": 0, "seed": 3, "other": 1, "schema": {}}'
    assert read_options(b"", b"") == StoryOptions("timeline", None, None, {})
    assert read_options(b"vlm", asked) == StoryOptions(
        "vlm", 8, None, {"temperature": 0, "seed": 3}
    )


@pytest.mark.parametrize(
    ("engine", "options"),
    [
        (b"other", b""),
        (b"\xff", b""),
        (b"", b"{"),
        (b"", b"[]"),
        (b"", b"\xff"),
        (b"", b'{"frames": 0}'),
        (b"", b'{"frames": 1000}'),
        (b"", b'{"frames": true}'),
        (b"", b'{"prompt": 5}'),
    ],
)
def test_bad_options(engine: bytes, options: bytes) -> None:
    with pytest.raises(OptionsError, match=r"^[a-z]+_[a-z]+: "):
        read_options(engine, options)
