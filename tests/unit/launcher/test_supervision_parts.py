from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from rich.console import Console

from launcher import readiness
from launcher.errors import LauncherError
from launcher.logs import LINE_BYTES, LogStream, label
from launcher.processes import Backoff, Restarter
from launcher.profile import VERDICT, choose_profile
from launcher.supervisor import Wakeups
from tests.support.waiting import wait_for


def test_backoff_doubles_up_to_its_limit_and_starts_over() -> None:
    backoff = Backoff(0.5, 3, healthy_after=60)
    assert [backoff.pause(1) for _ in range(6)] == [0, 0.5, 1, 2, 3, 3]
    assert [backoff.pause(61), backoff.pause(1)] == [0, 0.5]
    for _ in range(2000):
        assert backoff.pause(0) <= 3


def test_json_lines_stay_json() -> None:
    assert json.loads(label("gateway", '{"message": "x"}')) == {"source": "gateway", "message": "x"}
    assert json.loads(label("gateway", "{}")) == {"source": "gateway"}
    assert label("triton", "{not json}") == "[triton] {not json}"
    assert label("triton", "plain") == "[triton] plain"


def test_stream_hides_the_key_and_triton_tables(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        stream = LogStream(out.fileno(), secret="s3cret")
        pipe = io.BytesIO(b"key s3cret\n+------+\n| Model |\n\nI 1 server.cc:604]\nlast \xff line")
        stream.follow("triton", pipe).join(60)
    assert (tmp_path / "out").read_text() == "[triton] key ***\n[triton] last � line\n"


@pytest.mark.parametrize(
    "line",
    ['{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", '{"a": ' + "9" * 9000 + "}", '{"a": \ud800}'],
)
def test_no_line_ends_the_stream(tmp_path: Path, line: str) -> None:
    with (tmp_path / "out").open("wb") as out:
        stream = LogStream(out.fileno())
        stream.follow("gateway", io.BytesIO(line.encode("utf-8", "replace") + b"\nnext")).join(60)
        stream.close(60)
    last = (tmp_path / "out").read_text().splitlines()[-1]
    assert last == "[gateway] next"


def test_a_line_without_an_end_fills_no_memory(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        stream = LogStream(out.fileno())
        stream.follow("triton", io.BytesIO(b"x" * (3 * LINE_BYTES))).join(60)
    lines = (tmp_path / "out").read_text().splitlines()
    assert [len(line) for line in lines] == [LINE_BYTES + len("[triton] ")] * 3


class Fragile:
    """A unit that cannot be started while something is missing."""

    name = "fragile"

    def __init__(self) -> None:
        self.missing: Exception | None = None

    def start(self) -> subprocess.Popen[bytes]:
        if self.missing:
            raise self.missing
        return subprocess.Popen(["true"], stdout=subprocess.PIPE)

    def stop(self, timeout: float) -> None:
        return

    def kill(self) -> None:
        return


@pytest.mark.parametrize("error", [LauncherError("no wheel"), OSError(12, "no memory")])
def test_a_start_that_fails_is_tried_again(tmp_path: Path, error: Exception) -> None:
    unit, noted = Fragile(), list[int]()
    with (tmp_path / "out").open("wb") as out:
        restarter = Restarter(unit, Backoff(0.01, 0.01), LogStream(out.fileno()), noted.append)
        restarter.start()
        wait_for(lambda: restarter.exit_status == 0)
        unit.missing = error

        def said() -> str:
            restarter.tend()
            return (tmp_path / "out").read_text()

        wait_for(lambda: said().count("fragile cannot be started (no ") >= 2)
        unit.missing = None
        wait_for(lambda: said() and len(noted) >= 2)
        restarter.stop(1)
    assert "fragile ended with status 0; starting it again at once" in said()


def test_the_end_of_a_child_ends_the_sleep() -> None:
    with Wakeups() as wakeups:
        child = subprocess.Popen(["sleep", "0.2"])
        begin = time.monotonic()
        while child.poll() is None:
            wakeups.wait(60)
        assert time.monotonic() - begin < 50
        os.kill(os.getpid(), signal.SIGCHLD)  # before the sleep: it is not missed
        wakeups.wait(60)
        assert time.monotonic() - begin < 50
    assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL


@pytest.mark.parametrize(
    ("wanted", "flags", "verdict", "expected"),
    [
        ("auto", "fpu avx512_bf16", '{"ok": true, "cosine_min": 0.99998}', "openvino"),
        ("auto", "fpu amx_bf16", '{"ok": true}', "openvino"),
        ("auto", "fpu avx512_bf16", '{"ok": false}', "default"),
        ("auto", "fpu avx512_bf16", "broken", "default"),
        ("auto", "fpu avx512_bf16", None, "default"),
        ("auto", "fpu avx2", '{"ok": true}', "default"),
        ("openvino", "fpu avx2", None, "openvino"),
        ("default", "fpu avx512_bf16", '{"ok": true}', "default"),
    ],
)
def test_profile(
    tmp_path: Path, wanted: str, flags: str, verdict: str | None, expected: str
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    if verdict is not None:
        (tmp_path / VERDICT).parent.mkdir(parents=True)
        (tmp_path / VERDICT).write_text(verdict)
    assert choose_profile(wanted, tmp_path, cpuinfo=cpuinfo) == expected


def test_tensorrt_is_refused_and_plans_are_named(tmp_path: Path) -> None:
    with pytest.raises(LauncherError, match="use_plans: true"):
        choose_profile("tensorrt", tmp_path)


@pytest.mark.parametrize(
    ("status", "state", "live", "expected"),
    [
        ("starting", "loading", True, False),
        ("degraded", "loading", True, False),
        ("ready", "ready", True, True),
        ("down", "missing", True, True),
        ("down", "missing", False, False),
    ],
)
def test_settled(status: str, state: str, live: bool, expected: bool) -> None:
    services = {"text": {"state": state}}
    report = {"status": status, "triton": {"live": live}, "services": services}
    assert readiness.settled(report) is expected


def test_no_answer_is_no_report() -> None:
    assert readiness.fetch("127.0.0.1", 9, timeout=1) is None


def test_the_table_says_who_may_call() -> None:
    services = {"text": {"state": "ready", "models": [{"name": "a"}, {"name": "b"}]}}
    report = {"status": "ready", "triton": {"live": True}, "services": services}
    console = Console(width=100, record=True, file=io.StringIO())
    readiness.show(report, console, {"text": "key: app", "metrics": "open"})
    lines = console.export_text().splitlines()
    assert sum("key: app" in line for line in lines) == 1
    assert "/metrics and /services: open" in lines[-1]


@pytest.mark.parametrize("doors", [{}, {"metrics": "open"}])
def test_the_table_says_what_does_not_fit(doors: dict[str, str]) -> None:
    services = {"text": {"state": "ready", "models": [{"name": "a"}]}}
    triton = {"live": True, "warnings": ["Start it with --allow-client-shm=true"]}
    report = {"status": "ready", "triton": triton, "services": services}
    console = Console(width=160, record=True, file=io.StringIO())
    readiness.show(report, console, doors)
    assert "Start it with --allow-client-shm=true" in console.export_text().splitlines()[-1]


def test_the_table_says_why_the_cpu_computes() -> None:
    engine = "onnxruntime fp32 (CPU: CUDA: out of memory [/odd])"
    model = {"task": "embed", "name": "m", "engine": engine, "canary_ms": 3}
    console = Console(width=100, file=io.StringIO())
    readiness.show({"services": {"text": {"state": "ready", "models": [model]}}}, console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    cells = [line.split("│")[4].strip() for line in shown.splitlines() if line.count("│") == 6]
    assert "onnxruntime fp32 (CPU: CUDA: out of memory [/odd]), 3 ms" in " ".join(cells)


def test_the_table_fits_a_hundred_columns() -> None:
    model = {"name": "mediapipe-pose + thin-plate-spline warp", "task": "try-on", "canary_ms": 44.0}
    services = {
        name: {
            "state": "loading", "detail": "the model is loaded again after a crash",
            "models": [model | {"engine": "onnxruntime 1.31.1 cpu fp32"}],
            "urls": ["http://127.0.0.1:9000/lipsync", "grpc://pentad.example.internal:50051"],
        }
        for name in ("text", "iot", "vision", "lipsync", "tryon")
    }  # fmt: skip
    console = Console(width=100, record=True, file=io.StringIO())
    doors = dict.fromkeys(services, "keys: app, prometheus, three more")
    readiness.show({"services": services}, console, doors)
    shown = console.export_text().splitlines()
    assert max(map(len, shown)) <= 100
    assert sum("onnxruntime 1.31.1 cpu" in line for line in shown) == 5
