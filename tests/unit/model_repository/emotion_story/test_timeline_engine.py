"""From read faces to the result: who is told of, what each frame says, what is admitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from clips.sampling import SampledClip
from stories.face_reading import ReadFaces
from stories.timeline_engine import TimelineEngine

LABELS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
HAPPY, SAD = 3, 4
FRAMES = 8


class Reader:
    """Has read these faces."""

    def __init__(self, read: list[ReadFaces]) -> None:
        self._read = read

    def read(self, _: Sequence[np.ndarray], __: Callable[[], bool]) -> list[ReadFaces]:
        return self._read


def faces(*seen: tuple[float, float, int]) -> ReadFaces:
    """Faces by left border, side and emotion."""
    boxes = np.array([(x, 50, x + side, 50 + side) for x, side, _ in seen], np.float32)
    probabilities = np.full((len(seen), len(LABELS)), 0.02, np.float32)
    for row, (_, _, emotion) in enumerate(seen):
        probabilities[row, emotion] = 0.88
    return ReadFaces(boxes.reshape(-1, 4), probabilities)


def tell(read: list[ReadFaces]) -> dict[str, Any]:
    times = tuple(number + 0.5 for number in range(len(read)))
    clip = SampledClip(np.zeros((len(read), 8, 8, 3), np.uint8), times, float(len(read)), False)
    return TimelineEngine(Reader(read), LABELS, "a model").tell_clip(clip, lambda: False)


def test_one_person() -> None:
    told = tell([faces((100, 80, SAD if number < 4 else HAPPY)) for number in range(FRAMES)])
    assert told["engine"] == "expression-timeline"
    assert told["model"] == "a model"
    assert (told["frames_analyzed"], told["duration_s"], told["people"]) == (FRAMES, 8.0, 1)
    assert [(one["start_s"], one["end_s"], one["emotion"]) for one in told["emotions"]] == [
        (0, 4, "sadness"),
        (4, 8, "happiness"),
    ]
    assert told["frames"][0]["face"] == [100, 50, 80, 80]
    assert told["frames"][0]["timestamp_s"] == 0.5
    assert told["frames"][0]["emotion"] == "sadness"
    assert set(told["frames"][0]["all_emotions"]) == set(LABELS)


def test_people_are_numbered_from_left_to_right() -> None:
    told = tell([faces((400, 90, HAPPY), (50, 80, SAD))] * FRAMES)
    assert [(one["person"], one["emotion"]) for one in told["emotions"]] == [
        (0, "sadness"),
        (1, "happiness"),
    ]
    assert "The person on the left looks clearly sad throughout" in told["story"]
    # Frames show the person with the largest face.
    assert {frame["emotion"] for frame in told["frames"]} == {"happiness"}


def test_faces_in_the_background_are_counted_but_not_told_of() -> None:
    told = tell([faces((50, 100, HAPPY), (300, 30, SAD))] * FRAMES)
    assert told["people"] == 2
    assert {one["emotion"] for one in told["emotions"]} == {"happiness"}
    assert "1 more in the background" in told["story"]


def test_a_face_in_one_frame_of_many_is_a_mistake() -> None:
    told = tell([faces((50, 100, SAD)), *[faces()] * (FRAMES - 1)])
    assert told["people"] == 0
    assert told["story"].startswith("No face is visible")
    assert told["emotions"] == []
    assert {frame["emotion"] for frame in told["frames"]} == {None}


def test_frames_without_the_person_say_so() -> None:
    told = tell([faces((50, 100, SAD))] * 6 + [faces()] * 2)
    assert told["frames"][7] == {
        "frame": 7,
        "timestamp_s": 7.5,
        "emotion": None,
        "confidence": 0.0,
        "all_emotions": None,
        "face": None,
    }
    assert told["emotions"][-1]["end_s"] == 6
    assert "the face in 6 of 8 frames" in told["story"]


def test_pictures_without_a_face_carry_an_error_and_no_confidence() -> None:
    read = [faces((50, 100, SAD)), faces()]
    engine = TimelineEngine(Reader(read), LABELS, "a model")
    told = engine.tell_images([np.zeros((8, 8, 3), np.uint8)] * 2, lambda: False)
    assert told["frames"][0]["emotion"] == "sadness"
    assert "error" not in told["frames"][0]
    assert told["frames"][1]["confidence"] == 0.0
    assert told["frames"][1]["error"] == "no face found"
    assert told["story"] == "2 images analysed: sadness dominates, no face in 1."
