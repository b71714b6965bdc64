"""Real clips and pictures through the real detector and classifier in a real Triton."""

from __future__ import annotations

import json
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from tests.support.clips import audio_only, carphone, encode, flat, talking
from tests.support.emotion_models import EmotionModels
from tests.support.mp4_edits import body_of, with_number

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
LABELS = {"anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"}


def refusal(models: EmotionModels, *arguments: object, **options: object) -> str:
    with pytest.raises(InferenceServerException) as caught:
        models.tell(*arguments, **options)
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    return str(caught.value.message())


def test_the_golden_story_of_the_talking_man(emotion_models: EmotionModels) -> None:
    golden = json.loads((GOLDEN / "emotion_story.json").read_text())
    told = emotion_models.tell(carphone())
    assert told["story"] == golden["story"]
    assert told["engine"] == "expression-timeline"
    assert (told["frames_analyzed"], told["truncated"], told["people"]) == (16, False, 1)
    assert told["duration_s"] == pytest.approx(4.004, abs=1e-3)
    for found, expected in zip(told["frames"], golden["frames"], strict=True):
        assert found["timestamp_s"] == pytest.approx(expected["timestamp_s"], abs=1e-3)
        np.testing.assert_allclose(found["face"], expected["face"], atol=1)
        values, wanted = found["all_emotions"], expected["all_emotions"]
        assert set(values) == LABELS
        np.testing.assert_allclose(
            [values[label] for label in wanted], list(wanted.values()), atol=0.02
        )
    for found, expected in zip(told["emotions"], golden["emotions"], strict=True):
        assert found["emotion"] == expected["emotion"]
        assert found["start_s"] == pytest.approx(expected["start_s"], abs=1e-3)
        assert found["end_s"] == pytest.approx(expected["end_s"], abs=1e-3)


def test_the_model_tells_what_it_is(emotion_models: EmotionModels) -> None:
    info = emotion_models.info(carphone())
    assert set(info["labels"]) == LABELS
    assert info["missing_labels"] == ["contempt"]
    assert info["training"] == "not stated by the package"
    assert "sanity check" in info["evidence"]
    assert info["detector"]["model"] == "CenterFace"


def test_several_people_are_told_apart(emotion_models: EmotionModels) -> None:
    both = [np.concatenate([frame, frame[:, ::-1]], axis=1) for frame in talking(320, 240, 50)]
    told = emotion_models.tell(encode(both))
    assert told["people"] == 2
    assert "The person on the left" in told["story"]
    assert "The person on the right" in told["story"]
    assert {one["person"] for one in told["emotions"]} == {0, 1}


def test_no_face_is_admitted(emotion_models: EmotionModels) -> None:
    black = emotion_models.tell(encode(flat(0, 320, 240, 50)))
    noise = np.random.default_rng(0).integers(0, 256, (10, 240, 320, 3), np.uint8)
    for told in (black, emotion_models.tell(encode(noise))):
        assert told["story"].startswith("No face is visible")
        assert told["emotions"] == []
        assert {frame["emotion"] for frame in told["frames"]} == {None}


def test_a_clip_of_one_frame(emotion_models: EmotionModels) -> None:
    told = emotion_models.tell(encode(talking(320, 240, 1)))
    assert told["frames_analyzed"] == 1
    assert len(told["emotions"]) == 1
    assert "throughout" in told["story"]


def test_the_number_of_frames_is_an_option(emotion_models: EmotionModels) -> None:
    assert emotion_models.tell(carphone(), options={"frames": 5})["frames_analyzed"] == 5


def test_a_truncated_clip_is_flagged(emotion_models: EmotionModels) -> None:
    data = encode(talking(320, 240, 100), gop=10, movflags="faststart")
    told = emotion_models.tell(data[: 2 * len(data) // 3])
    assert told["truncated"]
    assert told["story"].startswith("The file is damaged or ends early")
    assert told["duration_s"] < 3.5


def test_bad_clips_are_refused_quickly_with_their_codes(emotion_models: EmotionModels) -> None:
    good = carphone()
    cases = {
        "clip_empty: ": [b""],
        "clip_invalid: ": [
            b"\x89PNG" * 50,
            encode(flat(9), container="avi"),
            encode(flat(9), codec="mpeg4", container="matroska"),
            audio_only(),
        ],
        "clip_truncated: ": [good[: len(good) // 2]],
        "clip_too_large: ": [with_number(good, b"stsd", 40, 30_000 << 16 | 30_000)],
        "clip_too_long: ": [encode(flat(9, count=2), times=[0, 200_000])],
    }
    for code, clips in cases.items():
        for clip in clips:
            before = emotion_models.cpu_seconds()
            assert code in refusal(emotion_models, clip)
            assert emotion_models.cpu_seconds() - before < 1


@pytest.mark.parametrize(
    ("container", "codec"),
    [("mov", "libx264"), ("3gp", "libx264"), ("webm", "libvpx"), ("webm", "libvpx-vp9")],
)
def test_what_phones_and_browsers_record(
    container: str, codec: str, emotion_models: EmotionModels
) -> None:
    fast = {"deadline": "realtime", "cpu-used": "8", "b": "4M"} if "vpx" in codec else None
    frames = list(talking(320, 240, 50))
    data = encode(frames, container=container, codec=codec, options=fast)
    told = emotion_models.tell(data)
    plain = emotion_models.tell(encode(frames))
    assert (told["frames_analyzed"], told["people"], told["truncated"]) == (16, 1, False)
    assert told["duration_s"] == pytest.approx(plain["duration_s"], abs=0.05)
    np.testing.assert_allclose(told["frames"][0]["face"], plain["frames"][0]["face"], atol=12)


def test_a_mirrored_clip_does_not_stand_on_its_head(emotion_models: EmotionModels) -> None:
    data = encode(talking(320, 240, 25))
    at = body_of(data, b"tkhd") + 40
    numbers = (-65536, 0, 0, 0, 65536, 0, 320 << 16, 0, 1 << 30)
    mirrored = data[:at] + struct.pack(">9i", *numbers) + data[at + 36 :]
    told, plain = emotion_models.tell(mirrored), emotion_models.tell(data)
    assert told["people"] == plain["people"] == 1
    assert told["emotions"][0]["emotion"] == plain["emotions"][0]["emotion"]


def test_pictures(emotion_models: EmotionModels, astronaut: bytes, black: bytes) -> None:
    told = emotion_models.tell(images=[astronaut, black])
    smile, nobody = told["frames"]
    assert smile["emotion"] == "happiness"
    assert smile["confidence"] > 0.9
    assert (nobody["face"], nobody["confidence"], nobody["error"]) == (None, 0, "no face found")
    assert told["story"] == "2 images analysed: happiness dominates, no face in 1."


def test_a_bad_picture_is_named(emotion_models: EmotionModels, astronaut: bytes) -> None:
    message = refusal(emotion_models, images=[astronaut, b"no picture", astronaut])
    assert "image_invalid: index=1" in message
    assert "image_truncated: index=0" in refusal(emotion_models, images=[astronaut[:5000]])


def test_what_is_asked_must_be_clear(emotion_models: EmotionModels, astronaut: bytes) -> None:
    assert "input_invalid: " in refusal(emotion_models, carphone(), [astronaut])
    assert "input_invalid: " in refusal(emotion_models)
    assert "engine_unknown: " in refusal(emotion_models, carphone(), engine="magic")
    assert "options_invalid: " in refusal(emotion_models, carphone(), options={"frames": -1})


def test_several_clips_at_once_give_the_same_as_one(emotion_models: EmotionModels) -> None:
    alone = emotion_models.tell(carphone())
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: emotion_models.tell(carphone()), range(6)))
    assert {told["story"] for told in results} == {alone["story"]}
