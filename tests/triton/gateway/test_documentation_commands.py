"""The documentation's commands, run as they stand there (on this test's ports)."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from tests.support.stack import ROOT, WITHOUT_TENANTS, Stack
from tests.support.waiting import wait_for

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
EXAMPLE = re.compile(r"```bash\n(curl.*?)```\n(?:\n```json\n(.*?)```)?", re.S)
COMMANDS = sorted(
    {example for page in PAGES for example in EXAMPLE.findall(page.read_text(encoding="utf-8"))}
)
CHAT = [example for example in COMMANDS if "/v1/chat/" in example[0]]  # tests/vlm runs it
COMMANDS = [example for example in COMMANDS if example not in CHAT]

TRYON = next(command for command, _ in COMMANDS if "/vton/tryon" in command)
TRAFFIC = ("recent_errors", "p50_ms", "p95_ms")  # empty or null without any


def shape(value: object) -> object:
    """Return the structure of a JSON value: keys and types, lists by their first element."""
    if isinstance(value, dict):
        return {key: key in TRAFFIC or shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Every service, as `make run` has them: lip-sync with its demo tenants."""
    demo = [sys.executable, "-m", "export", "tryon-demo", "var/demo"]
    subprocess.run(demo, cwd=ROOT, check=True)
    running = Stack(
        tmp_path_factory.mktemp("readme") / "state",
        {"PENTAD_SERVICES": json.dumps([*WITHOUT_TENANTS, "lipsync", "tryon"])},
    )
    subprocess.run(
        [sys.executable, "-m", "export", "--services", "lipsync", "tryon"],
        cwd=ROOT, env={**os.environ, **running.environment}, check=True,
    )  # fmt: skip
    try:
        running.start()
        # Whoever comes to the list of tenants on the page has just run the client.
        httpx.get(
            running.main + "/lipsync/tenants/tenant_0001/preview", timeout=180
        ).raise_for_status()
        tried_on(running)
        yield running
        running.stop()
    finally:
        running.kill()


def tried_on(running: Stack) -> None:
    """Whoever asks for the job on the page has just sent it, and waited for its end."""
    subprocess.run(["bash", "-c", on_ports(running, TRYON)], cwd=ROOT, timeout=180, check=True)
    job = running.main + "/vton/jobs/" + re.findall(r"job_id=(\S+)", TRYON)[0]
    under_way = ("queued", "running", "delivering")
    wait_for(lambda: httpx.get(job, timeout=60).json()["state"] not in under_way, 180)


def on_ports(running: Stack, command: str) -> str:
    """Return a command of a page with the ports of this test."""
    command = command.replace("http://", "").replace("localhost:9000", running.main)
    for port, url in (
        (8765, running.text),
        (8090, running.vision),
        (5000, running.iot),
        (8080, running.tryon),
    ):
        command = command.replace(f"localhost:{port}", url)
    return command


@pytest.mark.parametrize(("command", "output"), COMMANDS)
def test_curl(whole: Stack, command: str, output: str) -> None:
    done = subprocess.run(
        ["bash", "-c", on_ports(whole, command)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    if "-o var/demo/result.png" in command:
        with Image.open(ROOT / "var" / "demo" / "result.png") as picture:
            assert picture.format == "PNG"
        return
    if not output:
        assert "pentad_requests_total" in done.stdout
        return
    shown = json.loads(re.sub(r", …", "", output))
    assert shape(json.loads(done.stdout)) == shape(shown)


@pytest.mark.parametrize("options", [[], ["--compact"]])
def test_lipsync_client(whole: Stack, tmp_path: Path, options: list[str]) -> None:
    client = ROOT / "examples" / "lipsync_client.py"
    command = [sys.executable, str(client), "--address", whole.lipsync, *options]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=180)
    with av.open(str(tmp_path / "mouth.mp4")) as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    with av.open(str(tmp_path / "mouth.mp4")) as clip:
        heard = sum(frame.samples for frame in clip.decode(audio=0)) / 16_000
    assert (len(frames), frames[0].shape) == (50, (320, 320, 3))
    assert 1.9 < heard < 2.2
    # The demo's mouth: shut at first, open in the middle of the first vowel; the eyes stay.
    moved = np.abs(frames[8].astype(int) - frames[0]).max(axis=2)
    assert moved[230:270, 120:200].max() > 80
    assert moved[60:140].max() < 40


def test_there_is_a_curl_for_every_endpoint() -> None:
    commands = " ".join(command for command, _ in COMMANDS)
    text = ("/text/bertscore", "/text/embed", "/v1/embeddings", "/health", "/info", "/status")
    pairs = ("/v1/rerank", "/v1/score", "/text/similarity", "/text/tokenize", "/v1/tokenize")
    vision = ("/vision/infer", "/vision/infer/batch", "/metrics/gpu")
    iot = ("/iot/vectorizer", "/iot/emotions", "/iot/health", "/iot/models")
    tryon = ("/vton/tryon", "/vton/jobs/", "localhost:8080/infer")
    operations = ("/healthz", "/readyz", "/services", "/metrics")
    for path in (*text, *pairs, *vision, *iot, *tryon, "/lipsync/tenants", *operations):
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
        assert httpx.get(stack.text + "/health", timeout=60).status_code == 200
        # The table comes a moment after readiness.
        wait_for(
            lambda: stack.main in stack.log and "all-MiniLM-L6-v2" in stack.log,
            told=lambda: stack.log[-2000:],
        )
        everything = stack.processes()
        os.killpg(stack.process.pid, signal.SIGINT)  # as a terminal does
        _, alive = psutil.wait_procs(everything, timeout=90)
        assert not alive
    finally:
        stack.kill()
