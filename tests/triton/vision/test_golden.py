"""The whole way, from file to confidence, equals torchvision's on ten varied pictures."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tritonclient import grpc

from export.progress import Progress
from export.torchvision_library import Torchvision
from tests.support.golden_pictures import ANSWERS, CACHE, PICTURES, reference_picture
from tests.support.vision_models import VisionModels, image_input

GOLDEN = json.loads(ANSWERS.read_text())


@pytest.mark.parametrize("name", GOLDEN["cases"])
def test_golden_values(name: str, vision_models: VisionModels, pictures: dict[str, bytes]) -> None:
    expected = GOLDEN["cases"][name]
    got = vision_models.classify(pictures[name])
    # Classes whose confidences are closer than the tolerance may change places.
    by_class = dict(zip(got.classes, got.confidences.tolist(), strict=True))
    for entry in expected[:4]:
        assert by_class[entry["class"]] == pytest.approx(
            entry["confidence"], abs=GOLDEN["tolerance"]
        )
    assert (got.classes[0], got.labels[0]) == (expected[0]["class"], expected[0]["label"])
    assert len(got.labels) == len(got.confidences) == 5
    assert (np.diff(got.confidences) <= 0).all()
    assert all(0 < took < 10_000 for took in got.timing_ms)


def test_ten_pictures_of_every_kind(pictures: dict[str, bytes]) -> None:
    assert set(GOLDEN["cases"]) == set(pictures)
    kinds = {
        (Image.open(io.BytesIO(file)).format, Image.open(io.BytesIO(file)).mode)
        for file in pictures.values()
    }
    assert len(pictures) == 10
    assert {("JPEG", "CMYK"), ("PNG", "I;16"), ("PNG", "RGBA")} <= kinds
    assert {kind for kind, _ in kinds} == {"JPEG", "PNG", "WEBP", "GIF", "BMP"}


def test_the_network_sees_torchvisions_own_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixel for pixel: every committed picture, and shapes where rounding could go either way."""
    folder = Path(__file__).resolve().parents[3] / "model_repository/image_classification/1"
    monkeypatch.syspath_prepend(str(folder))
    from image_preparation import FILTERS, Preparation
    from pictures.decoding import decode

    Torchvision(CACHE, Progress())
    from torchvision.transforms import functional

    def reference(picture: Image.Image, interpolation: str) -> np.ndarray:
        mode = functional.InterpolationMode(interpolation)
        resized = functional.resize(picture, [256], mode, antialias=True)
        return np.asarray(functional.center_crop(resized, [224]))

    prepare = Preparation(224, 256, FILTERS["bilinear"])
    for file in PICTURES.iterdir():
        expected = reference(reference_picture(file), "bilinear")
        np.testing.assert_array_equal(prepare(decode(file.read_bytes(), 2**26)), expected)
    random = np.random.default_rng(5)
    shapes = [(640, 480), (480, 640), (341, 256), (256, 256), (257, 300), (349, 773), (16, 250)]
    shapes += random.integers(90, 1100, (25, 2)).tolist()
    for width, height in shapes:
        noise = Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
        for name in ("bilinear", "bicubic"):
            got = Preparation(224, 256, FILTERS[name])(noise)
            np.testing.assert_array_equal(got, reference(noise, name), err_msg=f"{width}x{height}")


def test_several_pictures_in_one_request(
    vision_models: VisionModels, pictures: dict[str, bytes]
) -> None:
    files = list(pictures.values())
    answer = vision_models.client.infer("image_classification", [image_input(files)])
    single = [vision_models.classify(file) for file in files]
    assert answer.as_numpy("CLASS_ID").tolist() == [one.classes for one in single]
    together = answer.as_numpy("CONFIDENCE")
    np.testing.assert_allclose(together, [one.confidences for one in single], atol=1e-5)


def test_model_info_comes_when_asked_for(
    vision_models: VisionModels, pictures: dict[str, bytes]
) -> None:
    file = pictures["rocket.webp"]
    asked = vision_models.client.infer(
        "image_classification",
        [image_input([file])],
        outputs=[grpc.InferRequestedOutput("MODEL_INFO")],
    )
    info = json.loads(asked.as_numpy("MODEL_INFO")[0, 0])
    assert (info["model"], info["classes"], info["input_size"]) == ("mobilenet_v2", 1000, 224)
    assert (info["resize_size"], info["interpolation"]) == (256, "bilinear")
    assert info["license"] == "BSD-3-Clause"
