"""Bad files are refused with their code, quickly, in bounded memory, and spoil nobody's answer."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from tritonclient.utils import InferenceServerException

from tests.support.odd_pictures import rle_bmp
from tests.support.pictures import animated_bomb, png_with_header
from tests.support.vision_models import Answer, VisionModels

MIB = 2**20


def resident(models: VisionModels) -> int:
    """Memory of the server and its stubs in bytes."""
    return sum(process.memory_info().rss for process in models.family())


@pytest.fixture(scope="module")
def bad(pictures: dict[str, bytes]) -> dict[str, tuple[bytes, str]]:
    """Files and their codes."""
    jpeg = pictures["chelsea_progressive.jpg"]
    return {
        "no bytes": (b"", "image_empty"),
        "text": (b"These are not pixels." * 40, "image_invalid"),
        "half": (jpeg[: len(jpeg) // 2], "image_truncated"),
        "huge header": (png_with_header(30_000, 30_000), "image_too_large"),
        "50 MB": (b"\xff\xd8\xff\xe0" + bytes(50 * MIB), "image_invalid"),
    }


@pytest.mark.parametrize("name", ["no bytes", "text", "half", "huge header", "50 MB"])
def test_codes(name: str, vision_models: VisionModels, bad: dict[str, tuple[bytes, str]]) -> None:
    data, code = bad[name]
    before = vision_models.cpu_seconds()
    with pytest.raises(InferenceServerException) as caught:
        vision_models.classify(data)
    assert vision_models.cpu_seconds() - before < 3
    assert caught.value.message().startswith(code + ": ")
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_bad_pictures_spoil_no_others(
    vision_models: VisionModels, pictures: dict[str, bytes], bad: dict[str, tuple[bytes, str]]
) -> None:
    good = pictures["rocket.webp"]
    alone = vision_models.classify(good)
    spoilt = [data for name, (data, _) in bad.items() if name != "50 MB"]
    mixed = [file for data in spoilt * 5 for file in (good, data, good)]
    for file, answer in zip(mixed, vision_models.classify_all(mixed, clients=16), strict=True):
        if file is good:
            assert isinstance(answer, Answer)
            assert answer.classes == alone.classes
            np.testing.assert_allclose(answer.confidences, alone.confidences, atol=1e-5)
        else:
            assert isinstance(answer, InferenceServerException)


def test_bombs_in_bounded_memory_while_others_are_answered(
    vision_models: VisionModels, pictures: dict[str, bytes]
) -> None:
    animation = animated_bomb()
    limit = io.BytesIO()  # as many pixels as are allowed, in a small file
    Image.new("RGB", (8192, 8192), (200, 30, 30)).save(limit, "PNG")
    over = io.BytesIO()
    Image.new("1", (8193, 8192)).save(over, "PNG")
    before = resident(vision_models)
    peak = before
    with ThreadPoolExecutor(6) as pool:
        bombs = [limit.getvalue(), animation, over.getvalue()] * 2
        pending = [pool.submit(vision_models.classify_all, [bomb], 1) for bomb in bombs]
        while not all(future.done() for future in pending):
            peak = max(peak, resident(vision_models))
            vision_models.classify(pictures["rocket.webp"])
        answers = [future.result()[0] for future in pending]
    assert [isinstance(answer, Answer) for answer in answers] == [True, True, False] * 2
    assert "image_too_large: " in str(answers[2])
    # Two of the largest pictures together would need 512 MiB for their pixels alone.
    assert peak - before < 450 * MIB
    assert vision_models.classify(pictures["rocket.webp"]).batch_size == 1


def test_small_pictures_pass_costly_ones(
    vision_models: VisionModels, pictures: dict[str, bytes]
) -> None:
    """Eight bombs of run lengths kept both decoders for a minute."""
    limit = io.BytesIO()
    Image.new("RGB", (8192, 8192), (200, 30, 30)).save(limit, "PNG")
    bombs = [rle_bmp(2**26, 1, b"\0\0"), rle_bmp(8192, 8192, b"\0\0" * 20)] * 4
    before = vision_models.cpu_seconds()
    for answer in vision_models.classify_all(bombs, 8):
        assert "image_too_large: " in str(answer)
    assert vision_models.cpu_seconds() - before < 3
    with ThreadPoolExecutor(6) as pool:
        large = [pool.submit(vision_models.classify, limit.getvalue()) for _ in range(6)]
        for _ in range(3):
            vision_models.classify(pictures["rocket.webp"])
        waiting = [future for future in large if not future.done()]
        assert len(waiting) >= 2
        assert all(isinstance(future.result(), Answer) for future in large)


def test_an_absent_network_fails_requests_and_recovers(
    vision_models: VisionModels, pictures: dict[str, bytes]
) -> None:
    good = pictures["coffee_cmyk.jpg"]
    vision_models.unload("image_classifier")
    try:
        with pytest.raises(InferenceServerException, match="image_classifier"):
            vision_models.classify(good, client_timeout=60)
    finally:
        vision_models.load("image_classifier")
    assert len(vision_models.classify(good).labels) == 5
