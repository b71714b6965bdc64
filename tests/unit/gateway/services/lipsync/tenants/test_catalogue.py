"""The catalogue and the watched folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.services.lipsync.tenants.catalogue import (
    TenantCatalogue,
    catalogued,
    configured,
    is_tenant_id,
)
from gateway.services.lipsync.tenants.source import (
    SETTLE_SECONDS,
    Sighting,
    Stamp,
    complete,
    observed,
    scan,
)
from gateway.settings.lipsync import TenantSettings


def model(path: str, **values: object) -> TenantSettings:
    return TenantSettings(model_path=path, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "ü", "a\n", "-x", "x" * 129, "a\0b"]
)
def test_what_could_be_a_path_is_no_id(name: str) -> None:
    assert not is_tenant_id(name)


@given(st.text())
def test_an_id_names_one_file_of_its_folder(name: str) -> None:
    if is_tenant_id(name):
        file = Path("/folder") / f"{name}.onnx"
        assert file.parent == Path("/folder")
        assert file.resolve(strict=False).parent == Path("/folder")


def test_relative_paths_are_below_the_root(tmp_path: Path) -> None:
    models = {"a": model("deep/a.onnx"), "b": model("/elsewhere/b.onnx"), "c": model("x/../c.onnx")}
    found = {entry.tenant: entry for entry in configured(models, str(tmp_path))}
    assert found["a"].file == tmp_path / "deep" / "a.onnx"
    assert found["a"].path == "deep/a.onnx"
    assert found["b"].file == Path("/elsewhere/b.onnx")
    for path in ("../a.onnx", "deep/../../a.onnx", ".."):
        with pytest.raises(ValueError, match="leaves models_root"):
            configured({"a": model(path)}, str(tmp_path))
    assert configured({"a": model("../a.onnx")}, "")[0].file.is_absolute()  # no root, no bound


def test_old_keys_keep_their_meaning() -> None:
    models = {
        "auto": model("a", preferred_gpu=-1),
        "none": model("a"),
        "first": model("a", preferred_gpu=0),
        "pinned": model("a", pinned=True),
        "preload": model("a", preload=True),
    }
    found = {entry.tenant: entry for entry in configured(models, "")}
    assert [found[name].preferred for name in ("auto", "none", "first")] == [None, None, 0]
    assert found["pinned"].preload
    assert not found["preload"].pinned  # preloaded, but evictable as in the old server


def test_the_configuration_wins_over_the_folder(tmp_path: Path) -> None:
    found = catalogued({"a": model("/x/a.onnx")}, "", tmp_path, ["a", "b"])
    assert [entry.tenant for entry in found] == ["a", "b"]
    a, b = found.get("a"), found.get("b")
    assert a is not None
    assert a.file == Path("/x/a.onnx")
    assert b is not None
    assert b.file == tmp_path / "b.onnx"
    assert found == catalogued({"a": model("/x/a.onnx")}, "", tmp_path, ["b"])
    assert found != TenantCatalogue()


def test_a_folder_is_scanned_without_leaving_it(tmp_path: Path) -> None:
    folder, outside = tmp_path / "watched", tmp_path / "outside.onnx"
    folder.mkdir()
    outside.write_bytes(b"x")
    for name in ("good.onnx", ".hidden.onnx", "no id.onnx", "note.txt", "upper.ONNX"):
        (folder / name).write_bytes(b"123")
    (folder / "folder.onnx").mkdir()
    (folder / "escape.onnx").symlink_to(outside)
    (folder / "inside.onnx").symlink_to(folder / "good.onnx")
    (folder / "broken.onnx").symlink_to(folder / "nothing")
    assert set(scan(folder)) == {"good", "inside"}
    assert scan(folder)["good"].size == 3
    assert scan(tmp_path / "not there") == {}


STAMPS = st.builds(Stamp, st.integers(0, 3), st.integers(0, 3).map(lambda n: n * 10**9))
LOOKS = st.lists(
    st.tuples(st.floats(0.1, 3), st.dictionaries(st.sampled_from("abc"), STAMPS)), max_size=12
)


@given(LOOKS)
def test_a_tenant_is_a_file_that_stopped_growing(
    looks: list[tuple[float, dict[str, Stamp]]],
) -> None:
    """Whoever becomes a tenant looked the same for the settling time; whoever vanishes is none."""
    known: dict[str, Sighting] = {}
    tenants: frozenset[str] = frozenset()
    history: list[tuple[float, dict[str, Stamp]]] = []
    now = 1000.0
    for pause, look in looks:
        now += pause
        history.append((now, look))
        known = observed(known, look, now, wall=0.0)  # all files are brand new
        before, tenants = tenants, complete(known, tenants, now)
        assert tenants <= {name for name, stamp in look.items() if stamp.size}
        for name in tenants - before:
            since = [moment for moment, seen in history if seen.get(name) == look[name]]
            assert now - min(since) >= SETTLE_SECONDS
        for name in before & look.keys():
            assert (name in tenants) == (look[name].size > 0)


def test_files_of_yesterday_count_at_once() -> None:
    stamp = Stamp(5, 1_000 * 10**9)
    known = observed({}, {"old": stamp, "new": Stamp(5, 1_999 * 10**9)}, 50.0, wall=2000.0)
    assert complete(known, frozenset(), 50.0) == {"old"}
