"""Engine `expression-timeline`: expressions of faces over a clip, told by rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from clips.sampling import SampledClip
from numpy.typing import NDArray

from stories.emotion_segments import TREND, UNSURE, Segment, find_segments, frame_spans
from stories.face_reading import FaceReader, ReadFaces
from stories.face_tracks import Track, follow
from stories.narration import MAX_PEOPLE, Person, Scene, narrate, summarise_images

ENGINE = "expression-timeline"

MIN_SHARE = 0.15
"""Of the frames in which somebody must be seen to be told of; a false detection lasts less."""

SMALL = 0.25
"""Share of the largest face's area below which a face is in the background."""


class TimelineEngine:
    """Stories without a language model."""

    def __init__(self, reader: FaceReader, labels: Sequence[str], model: str) -> None:
        """Create the engine.

        Args:
            reader: Finds faces and reads expressions.
            labels: Names of the emotions in the classifier's order.
            model: Name of the classifier, for the answer.
        """
        self._reader = reader
        self._labels = labels
        self._model = model

    def tell_clip(self, clip: SampledClip, is_cancelled: Callable[[], bool]) -> dict[str, Any]:
        """Read and tell a clip.

        Raises:
            CancelledError: Nobody waits any more.
            Exception: What the networks raise.
        """
        read = self._reader.read(list(clip.frames), is_cancelled)
        spans = frame_spans(clip.timestamps, clip.duration)
        tracks = [
            track
            for track in follow([faces.boxes for faces in read])
            if len(track.faces) >= max(1, MIN_SHARE * len(read))
        ]
        foreground, others = _foreground(tracks)
        people = [_person(track, read, spans) for track in foreground]
        scene = Scene(people, others, len(read), clip.duration, clip.truncated)
        return {
            "story": narrate(scene, self._labels),
            "engine": ENGINE,
            "model": self._model,
            "emotions": self._timeline(people),
            "frames": self._frames(clip, read, tracks[0] if tracks else None),
            "frames_analyzed": len(read),
            "duration_s": clip.duration,
            "truncated": clip.truncated,
            "people": len(tracks),
        }

    def tell_images(
        self, images: Sequence[NDArray[Any]], is_cancelled: Callable[[], bool]
    ) -> dict[str, Any]:
        """Read separate pictures, of each the largest face.

        Raises:
            CancelledError: Nobody waits any more.
            Exception: What the networks raise.
        """
        frames = []
        for number, faces in enumerate(self._reader.read(images, is_cancelled)):
            frame: dict[str, Any] = {"frame": number, **self._reading(faces, 0)}
            if not len(faces.boxes):
                # As the replaced server answered for a frame that it could not judge.
                frame |= {"emotion": "neutral", "confidence": 0.0, "error": "no face found"}
            frames.append(frame)
        judged = [
            None if frame["face"] is None else (frame["emotion"], frame["confidence"])
            for frame in frames
        ]
        return {
            "story": summarise_images(judged),
            "engine": ENGINE,
            "model": self._model,
            "emotions": [],
            "frames": frames,
            "frames_analyzed": len(frames),
            "duration_s": None,
            "truncated": False,
            "people": max((1 for judgement in judged if judgement), default=0),
        }

    def _timeline(self, people: Sequence[Person]) -> list[dict[str, Any]]:
        segments = [
            (segment, number) for number, person in enumerate(people) for segment in person.segments
        ]
        segments.sort(key=lambda item: (item[0].start, item[1]))
        return [
            {
                "start_s": round(segment.start, 3),
                "end_s": round(segment.end, 3),
                "emotion": self._labels[segment.emotion],
                "confidence": round(segment.confidence, 4),
                "trend": _trend(segment),
                "uncertain": segment.confidence < UNSURE,
                "person": number,
            }
            for segment, number in segments
        ]

    def _frames(
        self, clip: SampledClip, read: Sequence[ReadFaces], track: Track | None
    ) -> list[dict[str, Any]]:
        """Return what was seen of the person who shows most face."""
        return [
            {
                "frame": number,
                "timestamp_s": clip.timestamps[number],
                **self._reading(faces, track.faces.get(number) if track else None),
            }
            for number, faces in enumerate(read)
        ]

    def _reading(self, faces: ReadFaces, face: int | None) -> dict[str, Any]:
        if face is None or face >= len(faces.boxes):
            return {"emotion": None, "confidence": 0.0, "all_emotions": None, "face": None}
        values = faces.probabilities[face]
        left, top, right, bottom = (round(float(edge), 1) for edge in faces.boxes[face])
        return {
            "emotion": self._labels[int(values.argmax())],
            "confidence": round(float(values.max()), 4),
            "all_emotions": {
                label: round(float(value), 4)
                for label, value in zip(self._labels, values, strict=True)
            },
            "face": [left, top, round(right - left, 1), round(bottom - top, 1)],
        }


def _foreground(tracks: Sequence[Track]) -> tuple[list[Track], int]:
    """People who are told of, from left to right, and how many others there are."""
    if not tracks:
        return [], 0
    largest = max(track.area for track in tracks)
    near = [track for track in tracks if track.area >= SMALL * largest][:MAX_PEOPLE]
    return sorted(near, key=lambda track: track.middle), len(tracks) - len(near)


def _person(track: Track, read: Sequence[ReadFaces], spans: NDArray[Any]) -> Person:
    numbers = sorted(track.faces)
    rows = np.stack([read[number].probabilities[track.faces[number]] for number in numbers])
    return Person(find_segments(spans[numbers], rows), len(numbers))


def _trend(segment: Segment) -> str:
    if abs(segment.trend) < TREND:
        return "steady"
    return "rising" if segment.trend > 0 else "falling"
