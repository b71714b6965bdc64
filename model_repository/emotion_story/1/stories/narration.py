"""Stretches of emotion → a short story in plain English; the same input gives the same words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stories.emotion_segments import TREND, UNSURE, Segment

CLEAR = 0.8
"""Mean probability from which an expression is called clear."""

MAX_PEOPLE = 3
MAX_SEGMENTS = 6
"""Told of one person; of several people each gets fewer."""

_WORDS = {
    "neutral": "looks neutral",
    "happiness": "smiles",
    "sadness": "looks sad",
    "anger": "looks angry",
    "fear": "looks afraid",
    "surprise": "looks surprised",
    "disgust": "looks disgusted",
}
_PLACES = {
    1: ("The person",),
    2: ("The person on the left", "The person on the right"),
    3: ("The person on the left", "The person in the middle", "The person on the right"),
}
_NUMBERS = {1: "one person", 2: "two people", 3: "three people"}


@dataclass(frozen=True)
class Person:
    """What was seen of somebody.

    Attributes:
        segments: In the order of time.
        frames: In how many frames the face was seen.
    """

    segments: Sequence[Segment]
    frames: int


@dataclass(frozen=True)
class Scene:
    """What was seen in a clip.

    Attributes:
        people: From left to right; at most `MAX_PEOPLE`.
        others: People who are not told of.
        frames: Frames that were looked at.
        duration: In seconds.
        truncated: Whether the file ends early or is damaged.
    """

    people: Sequence[Person]
    others: int
    frames: int
    duration: float
    truncated: bool


def narrate(scene: Scene, labels: Sequence[str]) -> str:
    """Tells a clip.

    Args:
        scene: What was seen.
        labels: Names of the emotions by number.
    """
    sentences = []
    if scene.truncated:
        sentences.append(
            f"The file is damaged or ends early; what can be seen lasts {_seconds(scene.duration)}."
        )
    if not scene.people:
        looked = "the only frame" if scene.frames == 1 else f"any of {scene.frames} frames"
        sentences.append(
            f"No face is visible in {looked} of this {_seconds(scene.duration)} clip, so no "
            "emotion can be told."
        )
        return " ".join(sentences)
    sentences.append(_opening(scene))
    limit = MAX_SEGMENTS if len(scene.people) == 1 else MAX_SEGMENTS // 2
    for name, person in zip(_PLACES[len(scene.people)], scene.people, strict=True):
        sentences.append(_course(name, person, scene, labels, limit))
    sentences += _summary(scene, labels)
    return " ".join(sentences)


def _opening(scene: Scene) -> str:
    count = len(scene.people)
    who = _NUMBERS[count]
    if scene.others:
        who += f" and {scene.others} more in the background"
    verb = "is" if count == 1 and not scene.others else "are"
    text = f"In this {_seconds(scene.duration)} clip {who} {verb} in view"
    seen = scene.people[0].frames
    if count == 1 and seen < scene.frames:
        text += f", the face in {seen} of {scene.frames} frames"
    return text + "."


def _course(name: str, person: Person, scene: Scene, labels: Sequence[str], limit: int) -> str:
    """Return what somebody does from start to end, in one sentence."""
    segments = _longest(person.segments, limit)
    parts = []
    for place, segment in enumerate(segments):
        words = _expression(segment, labels)
        if len(segments) == 1:
            parts.append(f"{words} {_alone(segment, scene)}")
        elif place == 0:
            parts.append(f"{words} {_first(segment)}")
        elif place == len(segments) - 1 and _reaches_end(segment, scene):
            parts.append(f"{words} from {_seconds(segment.start)} to the end")
        else:
            parts.append(f"{words} from {_seconds(segment.start)} to {_seconds(segment.end)}")
    text = f"{name} " + ", then ".join(parts)
    if left := len(person.segments) - len(segments):
        text += f", with {left} shorter {'change' if left == 1 else 'changes'} left out"
    return text + "."


def _longest(segments: Sequence[Segment], limit: int) -> list[Segment]:
    longest = sorted(segments, key=lambda segment: -segment.seconds)[:limit]
    return sorted(longest, key=lambda segment: segment.start)


def _expression(segment: Segment, labels: Sequence[str]) -> str:
    words = _WORDS[labels[segment.emotion]]
    if segment.confidence < UNSURE:
        return f"is hard to read and perhaps {words}"
    verb, *rest = words.split()
    if abs(segment.trend) >= TREND:
        words = f"{words} {'more and more' if segment.trend > 0 else 'less and less'}"
    elif segment.confidence >= CLEAR:
        words = " ".join([verb, "clearly", *rest]) if rest else f"{verb} clearly"
    return words


def _alone(segment: Segment, scene: Scene) -> str:
    if segment.start <= 0 and _reaches_end(segment, scene):
        return "throughout"
    return f"from {_seconds(segment.start)} to {_seconds(segment.end)}"


def _first(segment: Segment) -> str:
    if segment.start <= 0:
        return f"for the first {_seconds(segment.end)}"
    return f"from {_seconds(segment.start)} to {_seconds(segment.end)}"


def _reaches_end(segment: Segment, scene: Scene) -> bool:
    return segment.end >= scene.duration - 1e-6


def _summary(scene: Scene, labels: Sequence[str]) -> list[str]:
    """Return what prevails, and how far it can be trusted."""
    seconds: dict[str, float] = {}
    for person in scene.people:
        for segment in person.segments:
            label = labels[segment.emotion]
            seconds[label] = seconds.get(label, 0.0) + segment.seconds
    total = sum(seconds.values())
    sentences = []
    if len(seconds) > 1 and total:
        label = max(seconds, key=lambda label: seconds[label])
        sentences.append(f"Overall {_noun(label)} prevails ({seconds[label] / total:.0%}).")
    spans = [(segment.seconds, segment) for person in scene.people for segment in person.segments]
    weight = sum(length for length, _ in spans)
    if weight:
        mean = sum(length * segment.confidence for length, segment in spans) / weight
        doubt = "so this is little more than a guess" if mean < UNSURE else ""
        sentences.append(
            f"Read from the faces in {scene.frames} {'frame' if scene.frames == 1 else 'frames'}, "
            f"mean confidence {mean:.2f}{', ' + doubt if doubt else ''}."
        )
    return sentences


def _noun(label: str) -> str:
    return "a neutral face" if label == "neutral" else label


def _seconds(value: float) -> str:
    return f"{value:.1f} s"


def summarise_images(emotions: Sequence[tuple[str, float] | None]) -> str:
    """Tells separate pictures.

    Args:
        emotions: Emotion and confidence of each; None where there is no face.
    """
    pictures = "1 image" if len(emotions) == 1 else f"{len(emotions)} images"
    sums: dict[str, float] = {}
    for emotion, confidence in filter(None, emotions):
        sums[emotion] = sums.get(emotion, 0.0) + confidence
    if not sums:
        return f"No face is visible in {pictures}, so no emotion can be told."
    leading = max(sums, key=lambda emotion: sums[emotion])
    text = f"{pictures} analysed: {_noun(leading)} dominates"
    missing = emotions.count(None)
    return f"{text}, no face in {missing}." if missing else f"{text}."
