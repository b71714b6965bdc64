"""Turned faces, figures, poses and odd ones, by the real networks."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter
from tritonclient.utils import InferenceServerException

from tests.support.face_models import FaceModels
from tests.support.odd_pictures import saved
from tests.support.portraits import (
    carphone_man,
    collins,
    hopper,
    lit,
    scaled,
    turned,
)

STRICT = {"quality": "strict"}
PEOPLE = {"collins": collins, "hopper": hopper, "carphone": lambda: scaled(carphone_man(), 3)}
FACES = {"collins": 91, "hopper": 182, "carphone": 146}
"""Width of each face in pixels."""


def png(picture: Image.Image) -> bytes:
    return saved(picture, "PNG")


def report_of(
    face_models: FaceModels, picture: Image.Image, pose: str = "", **options: object
) -> dict[str, Any]:
    return face_models.enroll([png(picture)], [pose], options).reports[0]


@pytest.mark.parametrize("person", PEOPLE)
def test_a_turned_face_has_the_upright_vector(face_models: FaceModels, person: str) -> None:
    portrait = PEOPLE[person]()
    upright = face_models.enroll([png(portrait)])
    for degrees in (90, 180, 270):
        lying = face_models.enroll([png(portrait.rotate(degrees, expand=True))])
        assert lying.vector @ upright.vector >= 0.98
        (report,) = lying.reports
        assert report["used"]
        left, top, width, height = report["box"]
        points = np.array(report["landmarks"])
        assert (points > (left, top)).all()
        assert (points < (left + width, top + height)).all()
        straight = upright.reports[0]["quality"]["roll"]
        roll = (report["quality"]["roll"] - straight + degrees + 180) % 360 - 180
        assert roll == pytest.approx(0, abs=3)
        thumbnails = [np.asarray(_thumbnail(one)).astype(float) for one in (lying, upright)]
        assert np.abs(thumbnails[0] - thumbnails[1]).mean() < 8


def _thumbnail(answer: Any) -> Image.Image:
    return Image.open(io.BytesIO(answer.thumbnail))


def test_every_picture_has_its_figures(face_models: FaceModels) -> None:
    poses = ("front", "left", "right", "up", "down", "profile")
    for person, portrait in PEOPLE.items():
        found = face_models.ask([png(portrait())] * len(poses), ("IMAGE_REPORT",), poses)
        reports = json.loads(found["IMAGE_REPORT"][0])
        matches = [report["pose_matches"] for report in reports]
        assert matches == [True, False, False, False, False, None]
        assert [report["consistency"] for report in reports] == [None] * len(poses)
        quality = reports[0]["quality"]
        assert quality["size"] == pytest.approx(FACES[person], rel=0.05)
        assert abs(quality["yaw"]) < 12
        assert abs(quality["pitch"]) < 12
        assert quality["reason"] is None
        assert quality["score"] >= 0.9


BAD = {
    "face_blurred": lambda: hopper().filter(ImageFilter.GaussianBlur(7)),
    "face_too_dark": lambda: lit(hopper(), 0.08),
    "face_too_bright": lambda: lit(hopper(), 6),
    "face_too_small": lambda: scaled(hopper(), 27 / 182),
}


@pytest.mark.parametrize("reason", BAD)
def test_what_is_below_a_threshold_counts_in_reports_only(
    face_models: FaceModels, reason: str
) -> None:
    bad = BAD[reason]()
    report = report_of(face_models, bad)
    assert report["quality"]["reason"] == reason
    assert report["quality"]["score"] < 0.5
    assert (report["used"], report["reason"]) == (True, None)
    with pytest.raises(InferenceServerException, match=f"{reason}: index=0"):
        report_of(face_models, bad, **STRICT)
    alone = face_models.enroll([png(hopper())]).vector
    answer = face_models.enroll([png(bad), png(hopper())], ["front", ""], STRICT)
    assert [one["reason"] for one in answer.reports] == [reason, None]
    assert [one["used"] for one in answer.reports] == [False, True]
    assert np.abs(answer.vector - alone).max() < 1e-6
    of_good = face_models.enroll([png(hopper())]).thumbnail
    assert answer.thumbnail == of_good


def test_somebody_else_is_told_and_in_strict_not_used(face_models: FaceModels) -> None:
    own = [png(hopper()), png(turned(hopper(), 12)), png(lit(hopper(), 0.7))]
    pictures = [own[0], png(collins()), *own[1:]]
    answer = face_models.enroll(pictures)
    assert [one["consistent"] for one in answer.reports] == [True, False, True, True]
    assert all(one["used"] for one in answer.reports)
    assert answer.reports[1]["consistency"] < 0.3
    assert min(answer.reports[place]["consistency"] for place in (0, 2, 3)) > 0.6
    strict = face_models.enroll(pictures, options=STRICT)
    assert [one["reason"] for one in strict.reports] == [None, "face_differs", None, None]
    assert np.abs(strict.vector - face_models.enroll(own).vector).max() < 1e-5
    with pytest.raises(InferenceServerException, match="faces_differ: index=0"):
        face_models.enroll([own[0], png(collins())], options=STRICT)
    assert face_models.enroll([own[0], png(collins())]).vector.shape == (512,)


def test_an_animal_or_a_pattern_is_no_face_whichever_way_it_is_turned(
    face_models: FaceModels,
) -> None:
    noise = np.random.default_rng(8).integers(0, 256, (60, 80, 3), np.uint8)
    patterns = Image.fromarray(noise).resize((800, 600), Image.Resampling.BICUBIC)
    found = face_models.ask([png(patterns)], ("IMAGE_REPORT",))
    assert not json.loads(found["IMAGE_REPORT"][0])[0]["used"]
