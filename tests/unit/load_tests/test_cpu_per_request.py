"""Whose CPU time is whose, and what is left when the idle time is taken off."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import psutil
import pytest

from load_tests import cpu_per_request
from load_tests.client import Address, Body
from load_tests.cpu_per_request import Row, WorkError, table
from load_tests.cpu_time import GATEWAY, OTHER, SERVER, between, each, owner, spent
from load_tests.cpu_works import WORKS, Stack, Work
from load_tests.mixed import OK, UNAVAILABLE
from tests.support.waiting import wait_for


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["/x/bin/tritonserver", "--model-repository=/r"], SERVER),
        (["/v/bin/python", "-m", "gateway", "serve"], GATEWAY),
        (["/b/triton_python_backend_stub", "/r/bertscore/1/model.py", "shm", "1"], "bertscore"),
        (["/b/triton_python_backend_stub", "/r/face_detector/12/model.onnx"], "face_detector"),
        (["/v/bin/python", "-m", "launcher", "run"], OTHER),
        (["/b/triton_python_backend_stub"], OTHER),
        ([], OTHER),
    ],
)
def test_a_process_is_known_by_its_command_line(command: list[str], name: str) -> None:
    assert owner(command) == name


def test_time_is_counted_by_process_and_a_new_one_from_zero() -> None:
    before = {(1, 0.5): (GATEWAY, 10.0), (2, 0.5): ("lipsync", 3.0)}
    after = {(1, 0.5): (GATEWAY, 12.0), (2, 9.0): ("lipsync", 1.0), (3, 9.0): ("lipsync", 0.5)}
    assert between(before, after) == {GATEWAY: 2.0, "lipsync": 1.5}


def test_what_is_spent_without_requests_is_taken_off() -> None:
    costs = each({GATEWAY: 2.0, "idle": 0.1}, {GATEWAY: 0.05, "idle": 0.05}, 10.0, 300)
    assert costs == {GATEWAY: pytest.approx(5.0), "idle": 0.0}


def test_time_is_that_of_all_processes_below_the_launcher() -> None:
    burn = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"
    child = f"subprocess.Popen([sys.executable, '-c', {burn + 'input()'!r}])"
    code = f"import subprocess, sys\n{child}\ninput()"
    launcher = psutil.Popen([sys.executable, "-c", code], stdin=-1)
    try:
        own = psutil.Process(launcher.pid)
        wait_for(lambda: sum(value for _, value in spent(own).values()) > 0.3)
        assert {name for name, _ in spent(own).values()} == {OTHER}
        assert os.getpid() not in {pid for pid, _ in spent(own)}
    finally:
        for child in psutil.Process(launcher.pid).children():
            child.kill()
        launcher.kill()
        launcher.wait()


def _work(outcomes: list[str], calls: list[int]) -> Work:
    def asks(_: Stack) -> object:
        async def ask() -> str:
            await asyncio.sleep(0.01)
            calls.append(1)
            return outcomes[min(len(calls), len(outcomes)) - 1]

        return ask

    return Work("a work", "text", 2, "frame", 5, asks)  # type: ignore[arg-type]


async def test_items_of_the_calls_that_ended_meanwhile_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cpu_per_request, "WARM", 0.05)
    calls: list[int] = []
    found = Stack(Address("127.0.0.1", 1), "", "", Path())
    row = await cpu_per_request._measure(_work([OK], calls), found, psutil.Process(), {}, 0.5)
    assert 5 * 30 < row.rate < 5 * 201  # two clients, five items a call, some 100 calls a second
    assert row.milliseconds.keys() == {OTHER}
    done = len(calls)
    await asyncio.sleep(0.1)
    assert len(calls) == done  # nobody calls any more


async def test_a_call_that_fails_is_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_per_request, "WARM", 5)
    found = Stack(Address("127.0.0.1", 1), "", "", Path())
    with pytest.raises(WorkError, match=UNAVAILABLE):
        await cpu_per_request._measure(
            _work([OK, UNAVAILABLE], []), found, psutil.Process(), {}, 0.5
        )


def test_the_table_has_a_column_for_the_gateway_and_for_triton() -> None:
    spent_by = {GATEWAY: 0.5, SERVER: 0.25, "lipsync": 15.8, OTHER: 0.001}
    lines = table([Row("a work", "lipsync", 4, "frame", 1234.5, spent_by)]).splitlines()
    assert lines[-1] == "| a work | 4 | 1,234.5 | frame | 0.50 | 0.25 | lipsync 15.80 |"


def test_every_service_has_works() -> None:
    assert {work.service for work in WORKS} == {"text", "vision", "iot", "tryon", "lipsync"}
    assert len({(work.name, work.clients) for work in WORKS}) == len(WORKS)


def test_a_form_may_hold_several_files() -> None:
    body = Body.files({"a": ("one.jpg", b"1"), "b": ("two.jpg", b"2")})
    boundary = body.content_type.partition("boundary=")[2].encode()
    parts = body.content.split(b"--" + boundary)
    assert [part.partition(b"\r\n\r\n")[2] for part in parts[1:3]] == [b"1\r\n", b"2\r\n"]
    assert parts[3] == b"--\r\n"
