"""One vector from many embeddings, and the refusals that stand in place of a wrong one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from enrollment.options import Wishes, chosen
from enrollment.refusals import RefusedError, refuse_pictures
from faces.consistency import pooled
from faces.search import SearchOptions, SearchResult
from network_facts import network_facts, thresholds

GOOD = SearchResult(crops=np.zeros((1, 112, 112, 3), np.uint8))


def test_the_vector_is_the_direction_of_the_mean_of_unequal_embeddings() -> None:
    """Long embeddings count more, as they did; a mean of unit vectors would be [0.7, 0.7]."""
    vector = pooled([np.array([[3.0, 0.0]], np.float32), np.array([[0.0, 4.0]], np.float32)])
    assert vector.dtype == np.float32
    assert np.allclose(vector, [0.6, 0.8])


def test_the_mean_can_keep_its_own_length() -> None:
    parts = [np.array([[3.0, 0.0]], np.float32), np.array([[0.0, 4.0]], np.float32)]
    vector = pooled(parts, unit=False)
    assert vector.dtype == np.float32
    assert vector.tolist() == [1.5, 2.0]


def test_every_crop_counts_the_same_whatever_picture_it_is_from() -> None:
    one = np.array([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0]], np.float32)
    assert np.allclose(pooled([one, np.array([[0.0, 6.0]], np.float32)]), [0.70710678] * 2)


@pytest.mark.parametrize("bad", [[[1.0, 1.0], [-1.0, -1.0]], [[np.nan, 1.0]], [[np.inf, 0.0]]])
def test_a_mean_without_direction_is_no_vector(bad: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="direction"):
        pooled([np.array(bad, np.float32)])


def refusal(*found: SearchResult, strict: bool = True, needed: bool = True) -> str | None:
    try:
        refuse_pictures(found, strict=strict, needed=needed)
    except RefusedError as error:
        return str(error)
    return None


NONE = SearchResult(reason="no_face")
SMALL = SearchResult(reason="face_too_small")
BROKEN = SearchResult(reason="image_truncated")
BLURRED = SearchResult(reason="face_blurred")
UNCLEAR = SearchResult(reason="face_unclear")


@pytest.mark.parametrize(
    ("found", "strict", "needed", "expected"),
    [
        ((GOOD, NONE), True, True, None),
        ((GOOD, SMALL), True, True, None),
        ((NONE, NONE), True, True, "face_not_found: index=0"),
        ((SMALL, NONE), True, True, "face_too_small: index=0"),
        ((NONE,), True, False, None),
        ((GOOD, BROKEN), True, True, "image_truncated: index=1"),
        ((GOOD, BROKEN), True, False, "image_truncated: index=1"),
        ((GOOD, BROKEN), False, True, None),
        ((NONE, BROKEN), False, True, "face_not_found: index=0"),
        ((NONE, BROKEN), True, True, "image_truncated: index=1"),
        ((BROKEN, NONE), False, True, "image_truncated: index=0"),
        ((BROKEN,), False, False, None),
        ((BLURRED, GOOD), True, True, None),
        ((BLURRED, NONE), True, True, "face_blurred: index=0"),
        ((UNCLEAR, BROKEN), True, True, "image_truncated: index=1"),
    ],
)
def test_pictures_are_refused_by_the_first_reason(
    found: tuple[SearchResult, ...], strict: bool, needed: bool, expected: str | None
) -> None:
    assert refusal(*found, strict=strict, needed=needed) == expected


def test_the_facts_of_both_networks_are_told_and_no_more(tmp_path: Path) -> None:
    origin = {"source": "s", "license": "l", "training": "t", "sha256": "d"}
    found = {"model": "finder", "decoder": "scrfd", "strides": [8], **origin}
    embeds = {"model": "embedder", "dimensions": 512, "mean": 1.0, **origin}
    for name, facts in (("detector", found), ("metadata", embeds)):
        (tmp_path / f"{name}.json").write_text(json.dumps(facts))
    assert json.loads(network_facts(tmp_path, tmp_path)) == {
        "model": "embedder",
        "dimensions": 512,
        "detector": {"model": "finder", "decoder": "scrfd", **origin},
        "embedder": {"model": "embedder", **origin},
        "thresholds": {"same_person": None, "consistency": None},
    }


def test_the_packaged_embedder_has_measured_thresholds() -> None:
    known = thresholds("faceplugin-mobilefacenet-512")
    assert known.same_person is not None
    assert known.consistency is not None
    assert 0.31 < known.consistency < known.same_person < 0.6  # docs/services/enrollment.md


OPTIONS = SearchOptions(
    detection_side=640, rule="central", min_face=20, varied=True, max_pixels=1_000_000
)


USUAL = Wishes(OPTIONS, strict=True, consistency=0.4)


def test_wishes_change_what_they_name() -> None:
    assert chosen(b"{}", USUAL) == USUAL
    wishes = {"strict": False, "variants": False, "face": "largest", "detection_side": 480}
    found = chosen(json.dumps(wishes).encode(), USUAL)
    assert found == Wishes(SearchOptions(480, "largest", 20, False, 1_000_000), False, 0.4)
    wishes = {"quality": "strict", "extra_views": 7, "consistency": 0.25}
    found = chosen(json.dumps(wishes).encode(), USUAL)
    assert (found.search.quality, found.search.extra_views) == ("strict", 7)
    assert (found.strict, found.consistency) == (True, 0.25)
    assert chosen(b'{"consistency": null}', USUAL).consistency is None
    assert not chosen(b'{"unit": false}', USUAL).unit
    assert chosen(b"{}", USUAL).unit


@pytest.mark.parametrize(
    "wishes",
    [
        b"",
        b"[]",
        b"3",
        b"\xff",
        b'{"max_pixels": 1}',
        b'{"strict": 1}',
        b'{"unit": 0}',
        b'{"variants": "no"}',
        b'{"min_face": true}',
        b'{"face": "prettiest"}',
        b'{"detection_side": 100000}',
        b'{"detection_side": -1}',
        b'{"quality": "best"}',
        b'{"quality": true}',
        b'{"extra_views": -1}',
        b'{"extra_views": 100000}',
        b'{"consistency": 2.0}',
        b'{"consistency": NaN}',
        b'{"consistency": "high"}',
    ],
)
def test_wishes_that_cannot_be_are_refused(wishes: bytes) -> None:
    with pytest.raises(RefusedError, match="options_invalid: "):
        chosen(wishes, USUAL)
