"""Small faces in large pictures, and what a search for them may cost, by the real networks."""

from __future__ import annotations

import json
import time

import pytest
from PIL import Image
from tritonclient.utils import InferenceServerException

from tests.support.face_models import FaceModels
from tests.support.portraits import jpeg, scaled, turned
from tests.triton.iot.faces.test_quality import FACES, PEOPLE, png


def in_a_landscape(portrait: Image.Image, where: tuple[int, int]) -> bytes:
    """The portrait in a picture of 12 megapixels without any other face."""
    scene = Image.linear_gradient("L").resize((4000, 3000)).convert("RGB")
    scene.paste(portrait, where)
    return jpeg(scene)


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("degrees", [45, 135, 225, 315])
def test_between_the_quarters_it_is_the_same_person_or_not_used(
    face_models: FaceModels, person: str, degrees: int
) -> None:
    portrait = PEOPLE[person]()
    upright = face_models.enroll([png(portrait)]).vector
    assert face_models.enroll([png(turned(portrait, degrees))]).vector @ upright >= 0.8


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("where", [(60, 40), (1800, 1300), (3600, 2650)])
def test_a_small_face_in_a_large_picture_is_found(
    face_models: FaceModels, person: str, where: tuple[int, int]
) -> None:
    portrait = scaled(PEOPLE[person](), 45 / FACES[person])
    whole = face_models.enroll([png(PEOPLE[person]())]).vector
    answer = face_models.enroll([in_a_landscape(portrait, where)])
    (report,) = answer.reports
    left, top, width, _ = report["box"]
    assert where[0] <= left <= where[0] + portrait.width
    assert where[1] <= top <= where[1] + portrait.height
    assert width == pytest.approx(45, rel=0.25)
    assert answer.vector @ whole >= 0.75


def test_a_large_picture_without_a_face_costs_little(face_models: FaceModels) -> None:
    """All views of it cost some times what the first costs; a view is one run of the detector."""
    empty = in_a_landscape(Image.new("RGB", (1, 1)), (0, 0))
    face_models.ask([empty], ("IMAGE_REPORT",))

    def cost(options: dict[str, object] | None = None) -> float:
        before = face_models.cpu_seconds()
        for _ in range(3):
            answer = face_models.ask([empty], ("IMAGE_REPORT",), options=options)
            assert not json.loads(answer["IMAGE_REPORT"][0])[0]["face"]
        return face_models.cpu_seconds() - before

    rows, _ = face_models.executions("face_detector")
    everything = cost()
    assert face_models.wait_rows("face_detector", rows + 3)[0] - rows <= 3 * 16
    assert everything < 12 * cost({"extra_views": 0})  # 8.5, whatever the processor


def test_the_views_of_a_request_are_bounded(face_models: FaceModels) -> None:
    empty = in_a_landscape(Image.new("RGB", (1, 1)), (0, 0))
    rows, _ = face_models.executions("face_detector")
    face_models.ask([empty] * 4, ("IMAGE_REPORT",), options={"extra_views": 20})
    expected = rows + 4 * (1 + 5)
    assert face_models.wait_rows("face_detector", expected)[0] == expected


def test_nobody_waits_so_nobody_searches(face_models: FaceModels) -> None:
    empty = in_a_landscape(Image.new("RGB", (1, 1)), (0, 0))
    rows, _ = face_models.executions("face_detector")
    with pytest.raises(InferenceServerException):
        face_models.ask([empty] * 8, ("IMAGE_REPORT",), client_timeout=0.7)
    time.sleep(6)
    done, _ = face_models.executions("face_detector")
    assert done - rows < 8 * (1 + 80 // 8)  # all of them
