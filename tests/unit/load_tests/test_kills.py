"""What the table of kills counts, which processes it means, and what a client's call comes to."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from load_tests import kills
from load_tests.client import Address, Body
from load_tests.kills import Row, rows, table, victims
from load_tests.mixed import BROKEN, LATE, OK, REFUSED, UNAVAILABLE, HttpCall, Mix, Seen
from tests.support.waiting import wait_for


def test_a_row_counts_what_ended_after_the_kill() -> None:
    seen = [
        Seen("text", 1, 9.9, UNAVAILABLE),  # before it
        Seen("text", 9, 12, OK),
        Seen("text", 11, 13.5, UNAVAILABLE),
        Seen("text", 11, 11.1, REFUSED),
        Seen("text", 11, 12, BROKEN),
        Seen("text", 11, 12, LATE),
        Seen("vision", 10, 20, OK),
    ]
    text, vision = rows("gateway", 10, 14.25, seen)
    assert text == Row("gateway", "text", 5, 1, 1, 1, 1, 1, 3, 3.5, 4.2)
    assert (vision.service, vision.ok, vision.last_failure, vision.longest) == (
        "vision",
        1,
        None,
        10,
    )
    assert "|gateway|vision|1|1|0|0|0|0|10|none|4.2|" in table([text, vision]).splitlines()


def test_victims_are_below_the_launcher_alone(tmp_path: Path) -> None:
    server = tmp_path / "tritonserver"
    server.symlink_to(sys.executable)
    sleep = "import time; time.sleep(60)"
    code = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([{str(server)!r}, '-c', {sleep!r}])\n"
        f"subprocess.Popen([sys.executable, '-c', {sleep!r}, '-m', 'gateway', 'serve'])\n"
        "time.sleep(60)"
    )
    launcher = psutil.Popen([sys.executable, "-c", code])
    other = subprocess.Popen([str(server), "-c", sleep])
    own = psutil.Process(launcher.pid)
    try:
        for what in ("tritonserver", "gateway"):
            wait_for(lambda what=what: len(victims(own, what)) == 1)  # type: ignore[misc]
        assert other.pid not in {one.pid for one in victims(own, "tritonserver")}
        assert victims(own, "text_embedding") == []
    finally:
        for process in (*own.children(recursive=True), own, psutil.Process(other.pid)):
            process.kill()
        launcher.wait()
        other.wait()


async def test_without_a_victim_nothing_is_measured() -> None:
    with pytest.raises(kills.KillsError, match="no process of text_embedding"):
        await kills.hurt(psutil.Process(os.getpid()), "text_embedding")


def test_processes_elsewhere_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["kills", "--launcher", "1", "--url", "http://10.0.0.1:9000"])
    assert kills.main() == 1


async def test_what_a_call_comes_to() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    answers = [answer, answer.replace(b"200 OK", b"503 No"), b"", None]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            await reader.readexactly(2)
            found = answers.pop(0)
            if found is None:
                await asyncio.sleep(60)
            writer.write(found or b"")
            if not found:
                writer.close()
                return

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = Address("127.0.0.1", server.sockets[0].getsockname()[1])
    call = HttpCall(address, "/", [Body(b"{}")], deadline=1.0)
    assert [await call() for _ in range(4)] == [OK, "503", BROKEN, LATE]
    server.close()
    assert await call() == REFUSED


async def test_clients_finish_their_calls() -> None:
    mix, gate = Mix(1.0), asyncio.Event()

    async def call() -> str:
        await gate.wait()
        return OK

    mix.add("text", call)
    await asyncio.sleep(0)
    stopping = asyncio.create_task(mix.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    gate.set()
    await stopping
    assert [one.outcome for one in mix.seen] == [OK]
