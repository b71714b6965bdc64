from __future__ import annotations

import json

import numpy as np
import pytest
from conversation import about_a_clip, read_conversation
from vlm_request import Limits, RefusedRequestError

LIMITS = Limits(frames=4, side=64, tokens=1, thinking=1, seconds=1, images=2, videos=1)
IMAGE = {"type": "image", "shape": [32, 64]}
VIDEO = {"type": "video", "shape": [2, 32, 32], "timestamps": [0, 0.5]}
SIZES = {"image": 32 * 64 * 3, "video": 2 * 32 * 32 * 3}


def read(*parts: dict, pixels: int | None = None) -> object:
    size = sum(SIZES.get(part["type"], 0) for part in parts) if pixels is None else pixels
    messages = json.dumps([{"role": "user", "content": list(parts)}]).encode()
    return read_conversation(messages, np.arange(size, dtype=np.uint32).astype(np.uint8), LIMITS)


def test_parts_get_their_pixels_in_order() -> None:
    found = read(IMAGE, {"type": "text", "text": "and"}, VIDEO, IMAGE)
    assert found.messages == [{"role": "user", "content": [
        {"type": "image"}, {"type": "text", "text": "and"}, {"type": "video"}, {"type": "image"},
    ]}]  # fmt: skip
    assert [image.shape for image in found.images] == [(32, 64, 3)] * 2
    ((frames, times),) = found.videos
    assert frames.shape == (2, 32, 32, 3)
    assert times.tolist() == [0, 0.5]
    order = (found.images[0], frames, found.images[1])
    told = np.concatenate([array.reshape(-1) for array in order])
    assert (told == np.arange(told.size, dtype=np.uint32).astype(np.uint8)).all()


def test_words_need_no_pixels() -> None:
    messages = [{"role": "system", "content": "Brief."}, {"role": "user", "content": "What?"}]
    found = read_conversation(json.dumps(messages).encode(), None, LIMITS)
    assert found.messages == messages


def test_a_clip_with_a_question() -> None:
    frames, times = np.zeros((2, 32, 32, 3), np.uint8), np.zeros(2, np.float32)
    found = about_a_clip(frames, times, "What?")
    assert found.messages[0]["content"] == [{"type": "video"}, {"type": "text", "text": "What?"}]
    assert found.videos[0][0] is frames


@pytest.mark.parametrize(
    ("parts", "pixels", "code"),
    [
        ([IMAGE], 5, "media_invalid"),
        ([IMAGE], SIZES["image"] + 1, "media_invalid"),
        ([{"type": "image", "shape": [16, 64]}], 3072, "media_invalid"),
        ([{"type": "image", "shape": [32, 96]}], 9216, "media_invalid"),
        ([{"type": "image", "shape": [32.0, 64]}], 6144, "media_invalid"),
        ([{"type": "image"}], 0, "media_invalid"),
        ([IMAGE, IMAGE, IMAGE], None, "media_too_many"),
        ([VIDEO, VIDEO], None, "media_too_many"),
        ([{**VIDEO, "timestamps": [1, 0]}], None, "timestamps_invalid"),
        ([{**VIDEO, "timestamps": None}], None, "timestamps_invalid"),
        ([{"type": "video", "shape": [5, 32, 32], "timestamps": [0] * 5}], 15360,
         "frames_too_many"),
        ([{"type": "sound"}], 0, "messages_invalid"),
        ([{"type": "text"}], 0, "messages_invalid"),
        ([], 0, "messages_invalid"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit(parts: list[dict], pixels: int | None, code: str) -> None:
    with pytest.raises(RefusedRequestError, match=f"^{code}: "):
        read(*parts, pixels=pixels)


@pytest.mark.parametrize(
    "text", [b"{}", b"[]", b"x", b"[" * 99_999, b"[1]", b'[{"role": "tool", "content": "x"}]',
             b'[{"role": "user", "content": 1}]'],
)  # fmt: skip
def test_messages_of_another_form(text: bytes) -> None:
    with pytest.raises(RefusedRequestError, match=r"^messages_invalid: "):
        read_conversation(text, None, LIMITS)
