"""The README's commands, run as they stand there (on this test's ports)."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.stack import ROOT, Stack

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"```bash\n(curl.*?)```\n(?:\n```json\n(.*?)```)?", TEXT, re.S)


TRAFFIC = ("recent_errors", "p50_ms", "p95_ms")  # empty or null without any


def shape(value: object) -> object:
    """Return the structure of a JSON value: keys and types, lists by their first element."""
    if isinstance(value, dict):
        return {key: key in TRAFFIC or shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


@pytest.mark.parametrize(("command", "output"), COMMANDS)
def test_curl(stack: Stack, command: str, output: str) -> None:
    command = command.replace("http://", "").replace("localhost:9000", stack.main)
    command = command.replace("localhost:8765", stack.text)
    command = command.replace("localhost:8090", stack.vision)
    command = command.replace("localhost:5000", stack.iot)
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    if not output:
        assert "pentad_requests_total" in done.stdout
        return
    shown = json.loads(re.sub(r", …", "", output))
    assert shape(json.loads(done.stdout)) == shape(shown)


def test_there_is_a_curl_for_every_endpoint() -> None:
    commands = " ".join(command for command, _ in COMMANDS)
    text = ("/text/bertscore", "/text/embed", "/v1/embeddings", "/health", "/info", "/status")
    vision = ("/vision/infer", "/vision/infer/batch", "/metrics/gpu")
    iot = ("/iot/vectorizer", "/iot/emotions", "/iot/health", "/iot/models")
    for path in (*text, *vision, *iot, "/healthz", "/readyz", "/services", "/metrics"):
        assert path in commands


def test_make_run(tmp_path: Path) -> None:
    """`make run` itself: ready, a table of URLs, and an orderly end on Ctrl-C."""
    stack = Stack(tmp_path / "state")
    stack.state.mkdir()
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PENTAD_")}
    with (stack.state / "stack.log").open("wb") as log:
        stack.process = subprocess.Popen(
            ["make", "run"], cwd=ROOT, env={**clean, **stack.environment},
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        stack.wait_ready(300)
        assert httpx.get(stack.text + "/health").status_code == 200
        end = time.monotonic() + 10
        while stack.main not in stack.log:  # the table comes a moment after readiness
            assert time.monotonic() < end, stack.log[-2000:]
            time.sleep(0.1)
        assert "all-MiniLM-L6-v2" in stack.log
        everything = stack.processes()
        os.killpg(stack.process.pid, signal.SIGINT)  # as a terminal does
        _, alive = psutil.wait_procs(everything, timeout=30)
        assert not alive
    finally:
        stack.kill()
