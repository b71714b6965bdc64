"""Imports on disk: made once, never used when they do not fit, harmless when they fail."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from lipsync_errors import RefusedError
from tenants import import_process
from tenants import layout as tenant_layout
from tenants.blob import read_manifest
from tenants.import_process import ImportProcesses
from tenants.importing import import_tenant
from tenants.layout import BLOCKED
from tenants.store import FOLDER, NotImportedError, TenantStore

from tests.support.lipsync_tenants import write_tenant


@pytest.fixture(scope="module")
def processes() -> Iterator[ImportProcesses]:
    made = ImportProcesses(2)
    yield made
    made.close()


@pytest.fixture
def file(tenant: Path, tmp_path: Path) -> Path:
    """A tenant's file that a test may change."""
    return Path(shutil.copy(tenant, tmp_path / "tenant.onnx"))


class Counting:
    """Imports in this process and counts."""

    def __init__(self, delay: float = 0) -> None:
        self.calls = 0
        self._delay = delay

    def __call__(self, path: Path, folder: Path, layout: str) -> None:
        self.calls += 1
        time.sleep(self._delay)
        import_tenant(path, folder, layout)


def test_the_first_opens_by_importing_and_the_next_do_not(file: Path) -> None:
    counting = Counting()
    store = TenantStore(BLOCKED, counting)
    blob, imported = store.open(file)
    again, later = TenantStore(BLOCKED, counting).open(file)
    assert (imported, later, counting.calls) == (True, False, 1)
    assert blob.manifest == again.manifest
    for name, array in blob.arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[name])
        assert not array.flags.writeable
    names = {entry.name for entry in (file.parent / FOLDER / file.name).iterdir()}
    assert names == {
        "lock",
        "blocked.json",
        blob.manifest.blob,
        blob.manifest.skeleton,
    }


def test_concurrent_callers_import_once(file: Path) -> None:
    counting = Counting(delay=0.1)
    results: list[bool] = []

    def open_it() -> None:
        results.append(TenantStore(BLOCKED, counting).open(file)[1])

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counting.calls == 1
    assert sorted(results) == [False, False, False, True]


def flip(path: Path, at: int) -> None:
    """Changes one byte and hides it from size and time."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.chmod(0o644)
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def edited(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / "blocked.json").read_text())
    (folder / "blocked.json").write_text(json.dumps({**manifest, **changes}))


SPOILED: dict[str, Callable[[Path, Path], object]] = {
    "the source has another time": lambda file, folder: os.utime(file, (1, 1)),
    "the source has another size": lambda file, folder: file.write_bytes(
        file.read_bytes() + b"\x72\x00"
    ),
    "another version of ONNX Runtime": lambda file, folder: edited(
        folder, key="1/blocked/float32/x"
    ),
    "the blob is cut off": lambda file, folder: os.truncate(next(folder.glob("*.bin")), 1000),
    "a bit of the blob fell over": lambda file, folder: flip(next(folder.glob("*.bin")), 5000),
    "a bit of the graph fell over": lambda file, folder: flip(next(folder.glob("*.onnx")), 50),
    "the blob is gone": lambda file, folder: next(folder.glob("*.bin")).unlink(),
    "the manifest is cut off": lambda file, folder: os.truncate(folder / "blocked.json", 100),
    "the manifest is a list": lambda file, folder: (folder / "blocked.json").write_text("[]"),
    "weights lie outside": lambda file, folder: edited(
        folder, weights=[{"name": "w0", "shape": [2**40], "offset": 0}]
    ),
}


@pytest.mark.parametrize("what", SPOILED)
def test_an_import_that_does_not_fit_is_made_anew(what: str, file: Path) -> None:
    counting = Counting()
    arrays = TenantStore(BLOCKED, counting).open(file)[0].arrays()
    expected = {name: array.copy() for name, array in arrays.items()}
    del arrays
    folder = file.parent / FOLDER / file.name
    SPOILED[what](file, folder)
    blob, imported = TenantStore(BLOCKED, counting).open(file)
    assert imported
    for name, array in blob.arrays().items():
        np.testing.assert_array_equal(array, expected[name])


def test_force_reads_the_content_of_source_and_blob(file: Path) -> None:
    counting = Counting()
    store = TenantStore(BLOCKED, counting)
    store.open(file)
    flip(file, file.stat().st_size // 2)  # a weight; same size, same time
    assert not store.open(file)[1], "sizes and times say nothing"
    assert store.open(file, force=True)[1]
    assert not store.open(file, force=True)[1]


def test_another_machines_vector_unit_is_another_layout(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting()
    TenantStore(BLOCKED, counting).open(file)
    monkeypatch.setattr(tenant_layout, "vector_unit", lambda: "avx")
    assert TenantStore(BLOCKED, counting).open(file)[1]


def test_a_configured_folder_keeps_tenants_of_equal_names_apart(tmp_path: Path) -> None:
    store = TenantStore(BLOCKED, Counting(), tmp_path / "blobs")
    files = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        files.append(write_tenant(folder, "same", seed=number))
    blobs = [store.open(file)[0] for file in files]
    assert blobs[0].manifest.blob_sha256 != blobs[1].manifest.blob_sha256
    assert len(list((tmp_path / "blobs").iterdir())) == 2
    assert not (tmp_path / "1" / FOLDER).exists()


def test_running_frames_keep_the_old_weights_when_the_file_is_replaced(file: Path) -> None:
    counting = Counting()
    store = TenantStore(BLOCKED, counting)
    old = store.open(file)[0].arrays()["w0"]
    before = old.copy()
    write_tenant(file.parent, file.stem, seed=77)
    new = store.open(file)[0].arrays()["w0"]
    np.testing.assert_array_equal(old, before)
    assert np.abs(new - before).max() > 0


def test_imports_happen_in_other_processes(file: Path, processes: ImportProcesses) -> None:
    blob, imported = TenantStore(BLOCKED, processes.run).open(file)
    assert imported
    assert blob.manifest.quality["max_difference"] <= 1e-5


def test_a_refusal_comes_back_and_the_next_tenant_is_served(
    file: Path, processes: ImportProcesses, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(file.read_bytes()[:-100])
    store = TenantStore(BLOCKED, processes.run)
    with pytest.raises(RefusedError, match="tenant_file_invalid"):
        store.open(bad)
    assert read_manifest(tmp_path / FOLDER / bad.name, BLOCKED) is None
    assert store.open(file)[1]


def test_an_import_that_takes_too_long_is_given_up(file: Path, tmp_path: Path) -> None:
    processes = ImportProcesses(1, timeout=0.01)
    with pytest.raises(RefusedError, match=r"tenant_file_invalid: .*too long"):
        processes.run(file, tmp_path / "import", BLOCKED)


def test_a_file_that_kills_the_process_is_refused(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text("import os, sys\nsys.stdin.readline()\nos.abort()\n")
    monkeypatch.setattr(import_process, "WORKER", worker)
    with pytest.raises(RefusedError, match="tenant_file_invalid: the import ended with status -6"):
        ImportProcesses(1).run(file, tmp_path / "import", BLOCKED)


def test_an_idle_process_that_ended_is_replaced(file: Path, tmp_path: Path) -> None:
    processes = ImportProcesses(1)
    processes.run(file, tmp_path / "import", BLOCKED)
    (process,) = processes._idle
    process._process.kill()
    process._process.wait()
    processes.run(file, tmp_path / "import", BLOCKED)
    processes.close()


def test_computing_is_bounded_wherever_it_happens(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = tmp_path / "worker.py"
    starts = tmp_path / "starts"
    folder = str(import_process.WORKER.parent)
    worker.write_text(
        f"import sys\nsys.path.insert(0, {folder!r})\nopen({str(starts)!r}, 'a').write('x')\n"
        "import import_worker\nimport_worker.CPU_SECONDS = 0.02\nimport_worker.main()\n"
    )
    monkeypatch.setattr(import_process, "WORKER", worker)
    monkeypatch.setenv("PYTHONPATH", folder)
    with pytest.raises(RefusedError, match=r"tenant_file_invalid: .*too long"):
        ImportProcesses(1).run(file, tmp_path / "import", BLOCKED)
    assert starts.read_text() == "x", "it is not tried again"


def test_who_may_not_import_is_told_and_waits_for_nobody(file: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(path: Path, folder: Path, layout: str) -> None:
        begun.set()
        assert go_on.wait(60)
        raise RefusedError("tenant_contract", "in the end")

    store = TenantStore(BLOCKED, slow)
    with pytest.raises(NotImportedError):
        store.open(file, may_import=False)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(store.open, file)
        assert begun.wait(60)
        with pytest.raises(NotImportedError):
            store.open(file, may_import=False)
        go_on.set()
        with pytest.raises(RefusedError, match="in the end"):
            first.result(60)
