"""What a caller measured is kept for this machine, engine and graph, and for nothing else."""

from __future__ import annotations

import fcntl
import json
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import tuning
from calibration import Figure, Size
from engine_values import CROPS, EMBEDDINGS, SEARCHES, Calls, NetworkEngine
from tuning import FOLDER, Tuning, Values, fingerprint

from launcher.layout import CALIBRATION, calibration
from tests.support.waiting import PATIENCE

FASTER = [Figure(Size(rows, 16), ms, ms) for rows, ms in ((8, 4.4), (16, 8.2), (32, 13.6))]


@pytest.fixture
def network(tmp_path: Path) -> Path:
    folder = tmp_path / "repository" / "sentence_encoder"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.onnx").write_bytes(b"graph")
    (folder / "config.pbtxt").write_text("backend: 'onnxruntime'")
    return folder


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files are kept, on a quiet machine whose network is measured as `FASTER`."""
    folder = tmp_path / "kept"
    monkeypatch.setenv(FOLDER, str(folder))
    monkeypatch.setattr(tuning, "disturbed", lambda: False)
    monkeypatch.setattr(tuning, "measure", lambda *_: FASTER)
    monkeypatch.setattr(tuning, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(tuning, "LAST_PAUSE", 0.001)
    return folder


def due(found: Tuning) -> bool:
    """Whether it measures at its first execution."""
    return found._due


def measured(found: Tuning) -> Values:
    """Let it measure at an execution; returns the values after the next one."""
    assert not found.renewed(called)
    assert found._thread is not None
    found._thread.join(PATIENCE)
    found.renewed(called)
    return found.values


def made(network: Path, **words: str) -> Tuning:
    return Tuning(EMBEDDINGS, NetworkEngine(), network, **words)


def called(rows: int, length: int) -> None:
    raise AssertionError("measured")


def test_the_next_start_knows(network: Path, kept: Path) -> None:
    first = made(network)
    assert (first.values.source, first.values.reason) == ("usual", "not measured yet")
    assert not first.renewed(called)
    assert first._thread is not None
    first._thread.join(PATIENCE)
    assert first.renewed(called)
    assert not first.renewed(called)
    assert first.values.calls == Calls(32, 512, 2)
    assert (first.values.source, first.values.reason) == ("measured", "")
    (file,) = kept.glob("*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    second = made(network)
    assert not due(second)
    assert second.values.calls == first.values.calls
    assert second.values.source == "kept"
    told = second.values.as_json()
    assert json.loads(json.dumps(told))["figures"][2] == {
        "rows": 32, "length": 16, "in_flight": 1, "ms": 13.6, "fastest_ms": 13.6,
    }  # fmt: skip


def test_another_graph_engine_machine_or_limit_is_measured(
    network: Path, kept: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    measured(made(network))
    assert not due(made(network))
    assert due(Tuning(EMBEDDINGS, NetworkEngine(on_gpu=True), network))
    (network / "1" / "model.onnx").write_bytes(b"another graph")
    assert due(made(network))
    measured(made(network))
    (network / "configs").mkdir()
    (network / "configs" / "openvino.pbtxt").write_text("backend: 'openvino'")
    assert due(made(network))
    measured(made(network))
    reports = tmp_path / "engines"
    reports.mkdir()
    monkeypatch.setenv(tuning.ENGINES, str(reports))
    for version in ("1.31.1", "1.32.0"):
        report = {"backend": "onnxruntime", "version": version}
        (reports / "sentence_encoder.7.json").write_text(json.dumps(report))
        assert due(made(network))
        measured(made(network))
        assert not due(made(network))
    for cpu in ("one CPU", "another CPU"):
        monkeypatch.setattr(tuning, "machine", lambda cpu=cpu: cpu)
        assert due(made(network))
        measured(made(network))
    assert not due(made(network))


@pytest.mark.parametrize(
    "damage",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"key": 1}', b"[" * 10_000, b" " * 70_000,
    ],
)  # fmt: skip
def test_a_damaged_file_is_ignored(network: Path, kept: Path, damage: bytes) -> None:
    measured(made(network))
    (file,) = kept.glob("*.json")
    file.write_bytes(damage)
    assert due(made(network))
    measured(made(network))
    assert not due(made(network))


@pytest.mark.parametrize(
    "row",
    [
        {}, {"rows": 8}, {"rows": -1}, {"rows": True}, {"rows": "8"}, {"ms": "NaN"}, {"ms": 0},
        {"ms": None},
    ],
)  # fmt: skip
def test_foreign_figures_are_ignored(network: Path, kept: Path, row: dict[str, object]) -> None:
    measured(made(network))
    (file,) = kept.glob("*.json")
    content = json.loads(file.read_text())
    whole = {**content["figures"][0], **row} if row and row != {"rows": 8} else row
    file.write_text(json.dumps({**content, "figures": [whole]}))
    assert due(made(network))


def test_words_of_the_configuration_win(network: Path, kept: Path) -> None:
    some = made(network, rows="4")
    assert due(some)
    assert measured(some).calls == Calls(4, 512, 2)
    assert made(network, rows="4").values.calls == Calls(4, 512, 2)
    every = made(network, rows="4", tokens="64", in_flight="1")
    assert not due(every)
    assert (every.values.calls, every.values.source) == (Calls(4, 64, 1), "configured")
    assert not due(Tuning(CROPS, NetworkEngine(), network, rows="2", in_flight="3"))
    assert not due(Tuning(SEARCHES, NetworkEngine(), network, rows="1", in_flight="3"))
    with pytest.raises(ValueError, match="many"):
        made(network, rows="many")


def test_nothing_is_measured_without_a_folder(
    network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FOLDER, raising=False)
    found = made(network)
    assert not due(found)
    assert found.values.as_json() == {
        "rows": 16, "tokens": 512, "in_flight": 2, "source": "usual", "figures": [],
    }  # fmt: skip


def test_what_cannot_be_measured_keeps_the_usual_values(
    network: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> list[Figure]:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(tuning, "measure", fails)
    found = measured(made(network))
    assert (found.calls, found.source) == (Calls(16, 512, 2), "usual")
    assert found.reason == "not measured: RuntimeError"
    monkeypatch.setattr(tuning, "measure", lambda *_: [])
    assert measured(made(network)).reason == "too slow to measure"
    few = [Figure(Size(rows, 16), ms, ms) for rows, ms in ((1, 36.6), (8, 90.0))]
    monkeypatch.setattr(tuning, "measure", lambda *_: few)  # time was over before the usual 16
    assert measured(made(network)).reason == "too slow to measure"
    assert not list(kept.glob("*.json"))


def test_what_was_measured_beside_other_work_does_not_count(
    network: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = iter([False, True] * tuning.TRIES)  # quiet before, not after
    monkeypatch.setattr(tuning, "disturbed", lambda: next(told))
    busy = measured(made(network))
    assert (busy.calls, busy.source) == (Calls(16, 512, 2), "usual")
    assert busy.reason == "the machine was too busy to measure"
    assert next(told, None) is None
    monkeypatch.setattr(tuning, "disturbed", lambda: False)
    asked = made(network)

    def beside(*_: object) -> list[Figure]:
        for _request in range(tuning.CANARIES + 1):
            asked.renewed(called)
        return FASTER

    monkeypatch.setattr(tuning, "measure", beside)
    assert measured(asked).source == "usual"
    assert not list(kept.glob("*.json"))


def test_requests_end_a_measurement(
    network: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, sizes = made(network), []

    def endless(call: Callable[[int, int], None], *_: object) -> list[Figure]:
        while True:
            call(1, 16)

    def beside(rows: int, length: int) -> None:
        sizes.append(rows)
        asked.renewed(called)

    monkeypatch.setattr(tuning, "measure", endless)
    assert not asked.renewed(beside)
    assert asked._thread is not None
    asked._thread.join(PATIENCE)
    assert (asked.values.source, asked.values.calls) == ("usual", Calls(16, 512, 2))
    assert asked.values.reason == "the machine was too busy to measure"
    assert len(sizes) == tuning.TRIES * (tuning.CANARIES + 1)
    assert not asked.renewed(called)


def test_it_waits_for_the_lock_of_others(
    network: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "LOCK_SECONDS", 0.01)
    kept.mkdir()
    asked = made(network)
    with (kept / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        asked.renewed(called)
        assert asked._thread is not None
        asked._thread.join(0.3)
        assert asked._thread.is_alive()
        assert asked.values.source == "usual"
    asked._thread.join(PATIENCE)
    assert asked.values.source == "measured"


def test_it_waits_until_nothing_else_computes(
    network: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = iter([True] * 20 + [False, False])
    monkeypatch.setattr(tuning, "disturbed", lambda: next(told))
    assert measured(made(network)).source == "measured"
    assert next(told, None) is None


def test_it_ends_with_its_model(network: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "disturbed", lambda: True)
    waiting = made(network)
    waiting.stop()  # before it began
    waiting.renewed(called)
    waiting.stop()
    assert waiting._thread is not None
    assert not waiting._thread.is_alive()
    monkeypatch.setattr(tuning, "disturbed", lambda: False)
    begun = threading.Event()

    def endless(call: Callable[[int, int], None], *_: object) -> list[Figure]:
        while True:
            begun.set()
            call(1, 1)

    monkeypatch.setattr(tuning, "measure", endless)
    measuring = made(network)
    measuring.renewed(lambda rows, length: None)
    assert begun.wait(PATIENCE)
    measuring.stop()
    assert measuring._thread is not None
    assert not measuring._thread.is_alive()


def test_a_folder_that_cannot_be_written_is_only_slower(
    network: Path, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(FOLDER, str(tmp_path / "file" / "kept"))
    assert measured(made(network)).source == "measured"
    assert due(made(network))


def test_two_models_measure_one_after_the_other(
    network: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one finds what the first has measured of the same network."""
    begun, finish = threading.Event(), threading.Event()

    def slow(*_: object) -> list[Figure]:
        begun.set()
        assert finish.wait(PATIENCE)
        return FASTER

    monkeypatch.setattr(tuning, "measure", slow)
    first, second = made(network), made(network)
    first.renewed(called)
    assert begun.wait(PATIENCE)
    begun.clear()
    second.renewed(called)
    assert not begun.wait(0.3)
    finish.set()
    for one in (first, second):
        assert one._thread is not None
        one._thread.join(PATIENCE)
    assert (first.values.source, second.values.source) == ("measured", "kept")


def test_the_launcher_names_a_folder_of_this_user(tmp_path: Path) -> None:
    assert CALIBRATION == FOLDER
    folder = calibration(tmp_path / "state")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_network_that_is_not_there_has_a_name(tmp_path: Path) -> None:
    assert fingerprint(tmp_path / "gone") != fingerprint(tmp_path / "another")
