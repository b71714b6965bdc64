"""What clients may send and what they are told, good or bad."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

import numpy as np
import psutil
import pytest
from PIL import Image, ImageCms
from tritonclient.utils import InferenceServerException

from tests.support.face_models import FaceModels
from tests.support.icc_profiles import DISPLAY_P3, rgb_profile
from tests.support.odd_pictures import saved
from tests.support.pictures import png_with_header
from tests.support.portraits import collins, hopper, jpeg, scaled

EMPTY_ROOM = jpeg(Image.linear_gradient("L").resize((640, 480)).convert("RGB"))


def refusal(
    face_models: FaceModels, images: Sequence[bytes], options: dict[str, object] | None = None
) -> str:
    with pytest.raises(InferenceServerException) as raised:
        face_models.enroll(images, options=options)
    assert "INVALID_ARGUMENT" in str(raised.value.status())
    return str(raised.value.message())


def test_every_picture_has_its_report(face_models: FaceModels) -> None:
    answer = face_models.enroll([jpeg(hopper()), EMPTY_ROOM, jpeg(collins())])
    assert [report["used"] for report in answer.reports] == [True, False, True]
    assert [report["reason"] for report in answer.reports] == [None, "no_face", None]
    for report, picture in zip(answer.reports[::2], (hopper(), collins()), strict=True):
        assert 0.5 < report["score"] <= 1
        left, top, width, height = report["box"]
        assert 0 < left < left + width < picture.width
        assert 0 < top < top + height < picture.height
        eyes_x, eyes_y = np.mean(report["landmarks"][:2], axis=0)
        mouth_x, mouth_y = np.mean(report["landmarks"][3:], axis=0)
        assert left < eyes_x < left + width
        assert left < mouth_x < left + width
        assert top < eyes_y < mouth_y < top + height
    assert answer.reports[1]["box"] is None


def test_a_picture_without_a_face_leaves_the_vector_to_the_others(face_models: FaceModels) -> None:
    alone = face_models.enroll([jpeg(hopper())]).vector
    assert np.abs(face_models.enroll([EMPTY_ROOM, jpeg(hopper())]).vector - alone).max() < 1e-6


def test_without_any_face_there_is_no_vector(face_models: FaceModels) -> None:
    assert "face_not_found: index=0" in refusal(face_models, [EMPTY_ROOM, EMPTY_ROOM])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "image_empty"),
        (b"BM not a picture", "image_invalid"),
        (b"%PDF-1.7", "image_invalid"),
        (jpeg(hopper())[:20_000], "image_truncated"),
        (png_with_header(30_000, 30_000), "image_too_large"),
    ],
    ids=["empty", "no bitmap", "a document", "cut off", "a bomb"],
)
def test_what_is_no_picture_refuses_the_request_by_its_place(
    face_models: FaceModels, data: bytes, code: str
) -> None:
    good = jpeg(hopper())
    before = face_models.cpu_seconds()
    assert f"{code}: index=1" in refusal(face_models, [good, data, good])
    assert face_models.cpu_seconds() - before < 5


def test_pictures_of_phones_and_cameras(face_models: FaceModels) -> None:
    plain = face_models.enroll([jpeg(hopper())]).vector
    cut = face_models.enroll([jpeg(hopper())[:-2]]).vector  # without its end mark
    assert np.abs(cut - plain).max() < 1e-6
    avif = saved(hopper(), "AVIF", quality=90)
    assert face_models.enroll([avif]).vector @ plain > 0.98
    profile = rgb_profile(DISPLAY_P3)
    space = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    srgb = ImageCms.createProfile("sRGB")
    numbers = ImageCms.profileToProfile(hopper(), srgb, space, outputMode="RGB")
    tagged = saved(numbers, "PNG", icc_profile=profile)
    assert face_models.enroll([tagged]).vector @ face_models.enroll(
        [saved(hopper(), "PNG")]
    ).vector == pytest.approx(1, abs=0.01)


def test_unless_the_caller_is_lenient(face_models: FaceModels) -> None:
    good = jpeg(hopper())
    answer = face_models.enroll([b"nothing", good], ["front", "left"], {"strict": False})
    assert [report["reason"] for report in answer.reports] == ["image_invalid", None]
    assert np.abs(answer.vector - face_models.enroll([good]).vector).max() < 1e-6
    thumbnail = Image.open(io.BytesIO(answer.thumbnail))
    assert np.asarray(thumbnail).std() > 30  # of the other picture
    assert "image_invalid: index=0" in refusal(face_models, [b"nothing"], {"strict": False})


def test_a_face_of_few_pixels_is_not_enrolled(face_models: FaceModels) -> None:
    assert "face_too_small: index=0" in refusal(face_models, [jpeg(scaled(hopper(), 0.09))])


def test_requests_may_wish_otherwise(face_models: FaceModels) -> None:
    pictures = [jpeg(hopper())]
    varied = face_models.enroll(pictures).vector
    rows, _ = face_models.executions("face_embedder")
    alone = face_models.enroll(pictures, options={"variants": False}).vector
    assert face_models.wait_rows("face_embedder", rows + 1)[0] == rows + 1
    assert 0.9 < varied @ alone < 0.9999
    tiny = [jpeg(scaled(hopper(), 0.09))]
    assert face_models.enroll(tiny, options={"min_face": 1}).reports[0]["used"]
    assert "options_invalid: " in refusal(face_models, pictures, {"face": "prettiest"})


def test_nothing_and_too_many_poses_are_refused(face_models: FaceModels) -> None:
    for images, poses in (([], []), ([jpeg(hopper())], ["front", "left"])):
        with pytest.raises(InferenceServerException) as raised:
            face_models.enroll(images, poses)
        assert "INVALID_ARGUMENT" in str(raised.value.status())


def thumbnail_of(
    face_models: FaceModels, images: Sequence[bytes], poses: Sequence[str]
) -> np.ndarray:
    file = Image.open(io.BytesIO(face_models.enroll(images, poses).thumbnail))
    assert (file.format, file.size) == ("JPEG", (128, 128))
    return np.asarray(file).astype(np.float64)


def test_the_thumbnail_shows_the_last_front_view(face_models: FaceModels) -> None:
    first, second = jpeg(collins()), jpeg(hopper())
    of_first = thumbnail_of(face_models, [first], ["left"])
    of_second = thumbnail_of(face_models, [second], ["front"])
    assert np.abs(of_first - of_second).mean() > 20
    for images, poses, expected in (
        ([first, second], ["left", "front"], of_second),
        ([second, first], ["front", "front"], of_first),
        ([first, second], ["", ""], of_first),
    ):
        assert np.abs(thumbnail_of(face_models, images, poses) - expected).max() == 0


def test_a_report_alone_needs_no_face(face_models: FaceModels) -> None:
    """A camera may ask whether a picture will do, before anything is enrolled."""
    before = face_models.executions("face_embedder")
    found = face_models.ask([EMPTY_ROOM, jpeg(hopper())], ("IMAGE_REPORT", "MODEL_INFO"))
    reports = json.loads(found["IMAGE_REPORT"][0])
    assert [report["face"] for report in reports] == [False, True]
    assert face_models.executions("face_embedder") == before
    info = json.loads(found["MODEL_INFO"][0])
    assert info["dimensions"] == 512
    assert info["detector"]["model"] == "CenterFace"
    assert info["embedder"]["training"] == "not stated by the package"
    assert all(len(info[one]["sha256"]) == 64 for one in ("detector", "embedder"))


def resident(face_models: FaceModels) -> int:
    """Bytes of the server and its models."""
    server = psutil.Process(face_models.server.process.pid)
    return sum(one.memory_info().rss for one in (server, *server.children(recursive=True)))


def test_memory_is_bounded(face_models: FaceModels) -> None:
    """Large photographs again and again; and afterwards everything works."""
    photograph = jpeg(scaled(hopper(), 6))  # 11 megapixels
    for _ in range(2):
        face_models.enroll([photograph] * 4)
    before = resident(face_models)
    for _ in range(3):
        face_models.enroll([photograph] * 4)
    assert resident(face_models) - before < 64 * 2**20
    assert before < 2 * 2**30
