"""Gateways as processes of their own, to be killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from launcher.server import free_ports
from tests.support.stack import ROOT
from tests.support.tryon_gateway import tryon_form
from tests.support.waiting import PATIENCE

START_SECONDS = 120


@dataclass
class GatewayProcess:
    """`python -m gateway serve` with the try-on service alone."""

    state: Path
    triton_url: str
    variables: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.port, main = free_ports(2)
        self.state.mkdir(parents=True, exist_ok=True)
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "PENTAD_SERVICES": '["tryon"]',
            "PENTAD_SERVER__PORT": str(main),
            "PENTAD_SERVER__DRAIN_SECONDS": "1",
            "PENTAD_TRITON__URL": self.triton_url,
            "PENTAD_TRITON__METRICS_URL": "",
            "PENTAD_TELEMETRY__ACCESS_LOG": "false",
            "PENTAD_PATHS__STATE": str(self.state),
            "PENTAD_HEALTH__CANARY_INTERVAL_SECONDS": "0.2",
            "PENTAD_TRYON__SERVER__PORT": str(self.port),
            "PENTAD_TRYON__JOBS__POLL_SECONDS": "0.2",
            "PENTAD_TRYON__ASSET_SERVICE__RETRY_BACKOFF": "[0.2, 0.4]",
            "PENTAD_TRYON__CALLBACKS__MAX_DELAY_SECONDS": "1",
            **self.variables,
        }

    @property
    def log(self) -> str:
        """Everything written so far."""
        return (self.state / "gateway.log").read_text(errors="replace")

    def start(self, *, ready: bool = True) -> None:
        """Start and wait until it answers, and until its model is loaded."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PENTAD_")}
        with (self.state / "gateway.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "serve"],
                cwd=ROOT, env={**clean, **self.environment}, stdout=log, stderr=log,
            )  # fmt: skip
        self.wait(lambda: self.get("/test").get("status") == "hot" or not ready, START_SECONDS)

    def kill(self) -> None:
        """End it as a power failure does."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)

    def stop(self) -> None:
        """End it if it runs."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()

    def wait(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait until something is so, whatever the gateway answers meanwhile."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if condition():
                    return
            except (httpx.HTTPError, KeyError):
                pass
            assert self.process
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}:\n{self.log[-3000:]}")
            time.sleep(0.02)
        raise AssertionError(f"not reached in {seconds} s:\n{self.log[-3000:]}")

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON of a GET."""
        return dict(httpx.get(self.url + path, timeout=30).json())

    def submit(self, job_id: str, prompt: str = "", **changes: Any) -> httpx.Response:
        """Send a complete `/tryon`."""
        config = f'{{"prompt": "{prompt}"}}' if prompt else "{}"
        data, files = tryon_form(job_id, config=config, **changes)
        return httpx.post(self.url + "/tryon", data=data, files=files, timeout=60)

    def until(self, job_id: str, *states: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """Wait until a job is in one of ``states`` and return it."""
        self.wait(lambda: self.get(f"/jobs/{job_id}")["state"] in states, seconds)
        return self.get(f"/jobs/{job_id}")
