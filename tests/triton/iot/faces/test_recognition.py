"""The vector is about the person: the same over pose, size and light, another for others."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from load_tests.peers.plain_faces import PlainFaces
from tests.support.face_models import FaceModels
from tests.support.portraits import (
    beside,
    carphone_man,
    collins,
    hopper,
    jpeg,
    lit,
    scaled,
    turned,
)

SAME, DIFFERENT = 0.6, 0.45
People = dict[str, np.ndarray]

POSES = ("front", "left", "right", "up", "down")


def five(portrait: Image.Image) -> list[bytes]:
    """Five pictures of a person, as different as a portrait can be shown."""
    return [
        jpeg(portrait),
        jpeg(turned(portrait, 8)),
        jpeg(turned(portrait, -8), 70),
        jpeg(lit(scaled(portrait, 1.4), 0.85)),
        jpeg(lit(scaled(portrait, 0.8), 1.15)),
    ]


@pytest.fixture(scope="module")
def people(face_models: FaceModels) -> People:
    """Everybody's vector from one portrait."""
    portraits = {"collins": collins(), "hopper": hopper(), "carphone": scaled(carphone_man(), 3)}
    return {name: face_models.enroll([jpeg(one)]).vector for name, one in portraits.items()}


@pytest.mark.parametrize("person", ["collins", "hopper"])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda picture: jpeg(turned(picture, 20)), id="turned left"),
        pytest.param(lambda picture: jpeg(turned(picture, -20)), id="turned right"),
        pytest.param(lambda picture: jpeg(scaled(picture, 0.5)), id="half the size"),
        pytest.param(lambda picture: jpeg(scaled(picture, 4)), id="four times the size"),
        pytest.param(lambda picture: jpeg(lit(picture, 0.5)), id="half the light"),
        pytest.param(lambda picture: jpeg(lit(picture, 1.6)), id="much light"),
        pytest.param(lambda picture: jpeg(picture, 20), id="quality 20"),
        pytest.param(
            lambda picture: jpeg(turned(lit(scaled(picture, 0.7), 0.7), 15), 40), id="all at once"
        ),
    ],
)
def test_a_person_stays_the_same(
    face_models: FaceModels,
    people: People,
    person: str,
    change: Callable[[Image.Image], bytes],
) -> None:
    portrait = {"collins": collins, "hopper": hopper}[person]()
    other = face_models.enroll([change(portrait)]).vector
    assert people[person] @ other >= SAME
    others = [vector for name, vector in people.items() if name != person]
    assert max(float(vector @ other) for vector in others) <= DIFFERENT


def test_a_talking_man_stays_the_same_man(face_models: FaceModels, people: People) -> None:
    for frame in (12, 40, 60):
        later = face_models.enroll([jpeg(scaled(carphone_man(frame), 3))]).vector
        assert people["carphone"] @ later >= SAME


def test_different_people_differ(people: People) -> None:
    names = sorted(people)
    pairs = [(a, b) for a in names for b in names if a < b]
    assert len(pairs) == 3
    for a, b in pairs:
        assert people[a] @ people[b] <= DIFFERENT


def test_the_vector_has_unit_length(people: People) -> None:
    for vector in people.values():
        assert vector.dtype == np.float32
        assert vector.shape == (512,)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_the_order_of_the_pictures_does_not_matter(face_models: FaceModels) -> None:
    pictures = five(hopper())
    straight = face_models.enroll(pictures).vector
    mixed = face_models.enroll([pictures[place] for place in (3, 0, 4, 2, 1)]).vector
    assert np.abs(straight - mixed).max() < 1e-5


def test_alone_or_among_many_the_vector_is_the_same(face_models: FaceModels) -> None:
    """Pictures one by one, all at once, and while others enroll; batches are shared then."""
    requests = [[jpeg(turned(hopper(), angle))] for angle in (-6, 0, 6)] + [five(collins())]
    alone = [face_models.enroll(request).vector for request in requests]
    rows, executions = face_models.executions("face_embedder")
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda r: face_models.enroll(r).vector, requests * 4))
    more_rows, more_executions = face_models.wait_rows("face_embedder", rows + 4 * 8 * 6)
    assert more_rows - rows == 4 * 8 * 6
    assert more_executions - executions < more_rows - rows
    for place, vector in enumerate(together):
        assert np.abs(vector - alone[place % len(alone)]).max() < 1e-4


def test_it_equals_a_plain_implementation(face_models: FaceModels, exported_faces: Path) -> None:
    """Without variants, where both do the same but for the smoothing of the crop.

    Pictures have about one pixel per pixel of the crop, so that there is nothing to smooth.
    """
    pictures = [jpeg(scaled(hopper(), factor), 95) for factor in (0.45, 0.5)]
    pictures.append(jpeg(turned(collins(), 5), 95))
    expected = PlainFaces(exported_faces, 1).vector(pictures, varied=False)
    vector = face_models.enroll(pictures, options={"variants": False}).vector
    assert np.abs(vector - expected).max() <= 1e-3


@pytest.mark.parametrize("portrait", [collins, hopper])
def test_variants_of_a_part_give_the_vector_of_the_old_way(
    face_models: FaceModels, exported_faces: Path, portrait: Callable[[], Image.Image]
) -> None:
    """Against variants of whole pictures, each searched anew."""
    pictures = five(portrait())
    old = PlainFaces(exported_faces, 1).vector(pictures)
    assert face_models.enroll(pictures).vector @ old >= 0.997


def test_the_large_face_in_the_middle_counts(face_models: FaceModels, people: People) -> None:
    small = scaled(hopper(), 0.5)
    crowd = beside(small, scaled(collins(), 1.5), small)
    answer = face_models.enroll([jpeg(crowd)])
    assert answer.vector @ people["collins"] >= SAME
    (report,) = answer.reports
    left, _, width, _ = report["box"]
    assert small.width < left < left + width < crowd.width - small.width


def test_somebody_else_in_the_picture_is_told(face_models: FaceModels) -> None:
    (report,) = face_models.enroll([jpeg(beside(hopper(), hopper()))]).reports
    assert report["faces"] == 2
    (report,) = face_models.enroll([jpeg(hopper())]).reports
    assert report["faces"] == 1


def test_pictures_are_upright_before_anything_else(face_models: FaceModels, people: People) -> None:
    lying = hopper().transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    lying.save(file, "JPEG", quality=95, exif=exif)
    answer = face_models.enroll([file.getvalue()])
    assert answer.vector @ people["hopper"] > 0.99
    upright = face_models.enroll([jpeg(hopper(), 95)]).reports[0]
    assert np.allclose(answer.reports[0]["box"], upright["box"], atol=4)
