from __future__ import annotations

import io
import json

import numpy as np
import pytest
from chat_request import ChatError, MediaLimits, decoded, read_request
from clips.errors import ClipLimits
from clips.sampling import Sampling
from PIL import Image

from tests.support.clips import carphone

LIMITS = MediaLimits(3, 1 << 20, Sampling(ClipLimits(), frames=6, side=96), 8)


def picture(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(stream, "PNG")
    return stream.getvalue()


def asked(*parts: dict, **options: object) -> object:
    messages = [{"role": "user", "content": list(parts)}]
    return read_request(json.dumps(messages).encode(), json.dumps(options).encode(), LIMITS)


def part(kind: str, number: int) -> dict:
    return {"type": kind, "media": number}


def test_options_of_this_model_are_kept_back() -> None:
    found = asked(stream=True, frames=2, max_tokens=5)
    assert (found.stream, found.describe, found.frames) == (True, False, 2)
    assert found.generation == {"max_tokens": 5}
    assert asked().frames == 6


@pytest.mark.parametrize(
    ("size", "shape"),
    [((64, 64), [64, 64]), ((640, 320), [64, 96]), ((1, 1), [32, 32]), ((900, 9), [32, 96])],
)
def test_pictures_get_sides_that_the_model_takes(size: tuple[int, int], shape: list) -> None:
    messages, pixels = decoded(asked(part("image", 0)), [picture(*size)], LIMITS)
    assert messages[0]["content"] == [{"type": "image", "shape": shape}]
    (shown,) = pixels
    assert (list(shown.shape), shown.dtype) == ([*shape, 3], np.uint8)
    assert shown[0, 0].tolist() == [255, 0, 0]


def test_media_are_in_the_order_of_their_parts() -> None:
    text = {"type": "text", "text": "x"}
    request = asked(part("video", 1), text, part("image", 0), frames=4)
    messages, pixels = decoded(request, [picture(32, 32), carphone()], LIMITS)
    video, between, image = messages[0]["content"]
    assert (between, image) == (text, {"type": "image", "shape": [32, 32]})
    assert [list(shown.shape[:-1]) for shown in pixels] == [video["shape"], image["shape"]]
    assert video["shape"][0] == len(video["timestamps"]) == 4
    assert video["timestamps"] == sorted(video["timestamps"])
    assert max(video["shape"][1:]) == 96


@pytest.mark.parametrize(
    ("parts", "files", "words"),
    [
        ([part("image", 0)], [b"x"], "image_invalid: index=0: "),
        ([part("image", 0), part("video", 1)], [picture(9, 9), b"x"], "clip_invalid: index=1: "),
        ([part("image", 0)], [picture(9, 9)] * 4, "media_too_many: "),
        ([part("image", 0)], [picture(9, 9)] * 2, "messages_invalid: "),
        ([part("image", 0)] * 2, [picture(9, 9)], "messages_invalid: "),
        ([part("image", 1)], [picture(9, 9)], "messages_invalid: "),
        ([part("image", -1)], [picture(9, 9)], "messages_invalid: "),
    ],
)
def test_files_that_cannot_be_used(parts: list, files: list, words: str) -> None:
    with pytest.raises(ChatError, match=f"^{words}"):
        decoded(asked(*parts), files, LIMITS)


@pytest.mark.parametrize(
    ("messages", "options"),
    [(b"{}", b""), (b"x", b""), (b"[1]", b""), (b"[]", b"[]"), (b"[]", b'{"frames": 9}'),
     (b"[]", b'{"frames": "2"}')],
)  # fmt: skip
def test_requests_of_another_form(messages: bytes, options: bytes) -> None:
    with pytest.raises(ChatError, match=r"^(messages|options)_invalid: "):
        read_request(messages, options, LIMITS)
