from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from gateway.services.tryon.jobs.files import FolderFiles, write_durably
from gateway.services.tryon.jobs.liveness import WorkerLock


async def test_a_folder_of_files(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path / "files")
    incoming = tmp_path / "upload"
    incoming.mkdir()
    (incoming / "person").write_bytes(b"p")
    await files.adopt("a", incoming)
    assert not incoming.exists()
    await files.write("a", "result-1", b"r")
    assert await files.read("a", "person") == b"p"
    assert await files.read("a", "result-1") == b"r"
    assert await files.read("a", "none") is None
    assert await files.read("none", "person") is None
    await files.remove("a")
    await files.remove("a")
    assert await files.read("a", "person") is None


async def test_sweeping_spares_the_known_and_the_young(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path)
    for name in ("known", "lost", "grows"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1, 1))  # whatever the date says
    assert await files.sweep({"known"}, 0.2) == 0  # nobody can say yet for how long
    await asyncio.sleep(0.3)
    (tmp_path / "young").mkdir()
    (tmp_path / "grows" / "person").write_bytes(b"p")
    assert await files.sweep({"known"}, 0.2) == 1
    assert {one.name for one in tmp_path.iterdir()} == {"known", "young", "grows"}


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "result"
    write_durably(file, b"old")
    write_durably(file, b"new")
    assert file.read_bytes() == b"new"
    assert [one.name for one in tmp_path.iterdir()] == ["result"]


def test_a_killed_owner_is_seen_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; "
        "from gateway.services.tryon.jobs.liveness import WorkerLock;"
        "owner = WorkerLock(Path(sys.argv[1])); print(owner.name, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout
    name = child.stdout.readline().strip()
    me = WorkerLock(tmp_path)
    assert me.dead({name, "of-another-machine", me.name}) == set()
    child.kill()
    child.wait(60)
    assert me.dead({name, "of-another-machine", me.name}) == {name}
    me.tidy({name})
    assert len(list(tmp_path.iterdir())) == 2  # it still owns something
    me.tidy(())
    assert [one.name for one in tmp_path.iterdir()] == [f"{me.name}.lock"]
    me.close()
