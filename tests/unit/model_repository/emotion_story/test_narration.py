"""Stories say what was seen, when, how sure that is, and nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stories.emotion_segments import Segment
from stories.narration import MAX_SEGMENTS, Person, Scene, narrate, summarise_images

LABELS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
HAPPY, SAD, NEUTRAL = LABELS.index("happiness"), LABELS.index("sadness"), LABELS.index("neutral")


def segment(
    start: float, end: float, emotion: int, confidence: float = 0.7, trend: float = 0
) -> Segment:
    return Segment(start, end, emotion, confidence, trend)


def story(*people: list[Segment], duration: float = 15, **facts: object) -> str:
    seen = [Person(segments, 16) for segments in people]
    values = {"others": 0, "frames": 16, "duration": duration, "truncated": False, **facts}
    return narrate(Scene(people=seen, **values), LABELS)


def test_a_change_is_told_with_its_times() -> None:
    told = story([segment(0, 4, NEUTRAL, 0.7), segment(4, 15, HAPPY, 0.7)])
    assert told == (
        "In this 15.0 s clip one person is in view. The person looks neutral for the first 4.0 s, "
        "then smiles from 4.0 s to the end. Overall happiness prevails (73%). Read from the faces "
        "in 16 frames, mean confidence 0.70."
    )


def test_one_emotion_lasts_throughout() -> None:
    assert "The person looks sad throughout." in story([segment(0, 15, SAD)])
    assert "prevails" not in story([segment(0, 15, SAD)])


def test_intensity() -> None:
    assert "smiles clearly throughout" in story([segment(0, 15, HAPPY, 0.9)])
    assert "looks clearly sad throughout" in story([segment(0, 15, SAD, 0.9)])
    assert "smiles more and more throughout" in story([segment(0, 15, HAPPY, 0.6, 0.4)])
    assert "looks sad less and less throughout" in story([segment(0, 15, SAD, 0.6, -0.4)])


def test_low_confidence_is_admitted() -> None:
    told = story([segment(0, 15, SAD, 0.3)])
    assert "is hard to read and perhaps looks sad throughout" in told
    assert told.endswith("mean confidence 0.30, so this is little more than a guess.")


def test_no_face_no_emotion() -> None:
    assert story() == (
        "No face is visible in any of 16 frames of this 15.0 s clip, so no emotion can be told."
    )
    assert "in the only frame" in story(frames=1)


def test_several_people_are_told_apart() -> None:
    told = story([segment(0, 15, HAPPY)], [segment(0, 15, SAD)])
    assert "two people are in view" in told
    assert "The person on the left smiles throughout." in told
    assert "The person on the right looks sad throughout." in told
    three = story(*[[segment(0, 15, HAPPY)]] * 3, others=2)
    assert "three people and 2 more in the background are in view" in three
    assert "The person in the middle smiles throughout." in three


def test_a_person_who_is_seen_for_part_of_the_clip() -> None:
    seen = [Person([segment(3, 6, HAPPY)], 4)]
    told = narrate(Scene(seen, 0, 16, 15.0, False), LABELS)
    assert "one person is in view, the face in 4 of 16 frames." in told
    assert "The person smiles from 3.0 s to 6.0 s." in told


def test_a_damaged_file_is_mentioned_first() -> None:
    told = story([segment(0, 15, HAPPY)], truncated=True)
    assert told.startswith("The file is damaged or ends early; what can be seen lasts 15.0 s.")


def test_many_changes_are_shortened() -> None:
    many = [segment(n, n + 1, (HAPPY, SAD)[n % 2]) for n in range(15)]
    told = story(many)
    assert told.count("then") == MAX_SEGMENTS - 1
    assert f"with {15 - MAX_SEGMENTS} shorter changes left out" in told


@given(st.lists(st.tuples(st.integers(0, 6), st.floats(0, 1), st.floats(-1, 1)), max_size=40))
def test_stories_are_short_deterministic_and_clean(parts: list[tuple[int, float, float]]) -> None:
    segments = [segment(n, n + 1, *part) for n, part in enumerate(parts)]
    people = [segments] if segments else []
    told = story(*people, duration=max(1, len(parts)))
    assert told == story(*people, duration=max(1, len(parts)))
    assert len(told.split()) <= 150
    assert re.fullmatch(r"[A-Za-z0-9 .,;%()]+", told)
    assert told.endswith(".")


@pytest.mark.parametrize(
    ("emotions", "summary"),
    [
        ([("happiness", 0.9)], "1 image analysed: happiness dominates."),
        (
            [("sadness", 0.4), ("happiness", 0.7), ("sadness", 0.4), None],
            "4 images analysed: sadness dominates, no face in 1.",
        ),
        ([None, None], "No face is visible in 2 images, so no emotion can be told."),
    ],
)
def test_pictures(emotions: list[tuple[str, float] | None], summary: str) -> None:
    assert summarise_images(emotions) == summary
