"""The whole of Pentad as an operator runs it, on free ports and with a state folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from gateway.settings.socket_file import socket_address
from launcher.server import free_ports

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 240
WITHOUT_TENANTS = ("iot", "text", "vision")  # services that need nothing but exported models


@dataclass
class Stack:
    """A running `python -m launcher run`."""

    state: Path
    variables: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    """Command that executes the rest of its command line."""
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        metrics, main, text, vision, iot, lipsync, tryon = free_ports(7)
        self.main = f"http://127.0.0.1:{main}"
        self.text = f"http://127.0.0.1:{text}"
        self.vision = f"http://127.0.0.1:{vision}"
        self.iot = f"http://127.0.0.1:{iot}"
        self.tryon = f"http://127.0.0.1:{tryon}"
        self.triton = socket_address(self.state)
        self.lipsync = f"127.0.0.1:{lipsync}"
        self.ports = [metrics, main, text, vision, iot, lipsync, tryon]
        self.environment = {
            "PENTAD_EMBEDDED__METRICS_PORT": str(metrics),
            "PENTAD_TRITON__METRICS_URL": f"http://127.0.0.1:{metrics}/metrics",
            "PENTAD_SERVER__PORT": str(main),
            "PENTAD_TEXT__PORT": str(text),
            "PENTAD_VISION__PORT": str(vision),
            "PENTAD_IOT__PORT": str(iot),
            "PENTAD_LIPSYNC__SERVER__PORT": str(lipsync),
            "PENTAD_TRYON__SERVER__PORT": str(tryon),
            "PENTAD_SERVICES": json.dumps(WITHOUT_TENANTS),
            "PENTAD_PATHS__STATE": str(self.state),
            "PENTAD_HEALTH__CANARY_INTERVAL_SECONDS": "1",
            "PENTAD_EMBEDDED__CALIBRATE": "false",  # seconds of every start with a new state folder
            **self.variables,
        }

    @property
    def log(self) -> str:
        """Everything written so far."""
        return (self.state / "stack.log").read_text(errors="replace")

    def start(self, seconds: float = READY_SECONDS) -> None:
        """Start and wait until every service is ready."""
        self.state.mkdir(parents=True, exist_ok=True)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PENTAD_")}
        with (self.state / "stack.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "launcher", "run"],
                cwd=ROOT,
                env={**clean, **self.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait_ready(seconds)

    def wait_ready(self, seconds: float = READY_SECONDS) -> dict[str, Any]:
        """Wait for 200 on `/readyz` and return its report."""
        assert self.process
        end = time.monotonic() + seconds
        with httpx.Client(timeout=20, headers={"Connection": "close"}) as client:
            while time.monotonic() < end:
                if self.process.poll() is not None:
                    ended = f"ended with {self.process.returncode}:\n{self.log[-4000:]}"
                    raise AssertionError(ended)
                try:
                    reply = client.get(self.main + "/readyz")
                    if reply.status_code == 200:
                        return dict(reply.json())
                except httpx.HTTPError:
                    pass
                time.sleep(0.1)
        raise AssertionError(f"not ready after {seconds} s:\n{self.log[-4000:]}")

    def processes(self) -> list[psutil.Process]:
        """Return the supervisor and everything below it."""
        assert self.process
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def named(self, part: str) -> list[psutil.Process]:
        """Return the processes whose command line holds ``part``."""
        found = []
        for process in self.processes():
            try:
                if part in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found

    def stop(self, number: int = signal.SIGTERM, seconds: float = 90) -> float:
        """Send a signal, wait, and return how long it took."""
        assert self.process
        begin = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(seconds)
        return time.monotonic() - begin

    def kill(self) -> None:
        """End whatever is left; for the clean-up of a failed test."""
        if self.process and self.process.poll() is None:
            for process in self.processes():
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
            self.process.wait(60)
