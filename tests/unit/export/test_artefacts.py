"""Artefacts are whole or absent, and made again only when something changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from export import artefacts

SOURCE = {"task": "embedding", "checkpoint": "abc"}


def publish(folder: Path, content: str = "weights") -> None:
    with artefacts.publish(folder, SOURCE) as scratch:
        (scratch / "model.onnx").write_text(content)


def fail_halfway(folder: Path) -> None:
    with artefacts.publish(folder, {**SOURCE, "checkpoint": "next"}) as scratch:
        (scratch / "model.onnx").write_text("half")
        raise RuntimeError


def test_published_files_are_up_to_date(tmp_path: Path) -> None:
    folder = tmp_path / "model" / "1"
    assert not artefacts.up_to_date(folder, SOURCE)
    publish(folder)
    assert artefacts.up_to_date(folder, SOURCE)
    assert not artefacts.up_to_date(folder, {**SOURCE, "checkpoint": "other"})


def test_a_missing_or_cut_file_is_noticed(tmp_path: Path) -> None:
    publish(tmp_path / "1")
    (tmp_path / "1" / "model.onnx").write_text("wei")
    assert not artefacts.up_to_date(tmp_path / "1", SOURCE)
    (tmp_path / "1" / "model.onnx").unlink()
    assert not artefacts.up_to_date(tmp_path / "1", SOURCE)


@pytest.mark.parametrize("stamp", ["", "[]", "{}", '{"files": 3}', "null"])
def test_a_spoilt_stamp_means_make_it_again(tmp_path: Path, stamp: str) -> None:
    publish(tmp_path / "1")
    (tmp_path / "1" / artefacts.STAMP).write_text(stamp)
    assert not artefacts.up_to_date(tmp_path / "1", SOURCE)


def test_a_failing_export_changes_nothing(tmp_path: Path) -> None:
    publish(tmp_path / "1", "first")
    with pytest.raises(RuntimeError):
        fail_halfway(tmp_path / "1")
    assert (tmp_path / "1" / "model.onnx").read_text() == "first"
    assert artefacts.up_to_date(tmp_path / "1", SOURCE)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_a_new_exporter_version_makes_all_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path / "1")
    monkeypatch.setattr(artefacts, "EXPORTER_VERSION", -1)
    assert not artefacts.up_to_date(tmp_path / "1", SOURCE)
