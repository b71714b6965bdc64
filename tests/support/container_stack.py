"""A Pentad in containers as its clients and its operator see it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.callback_receiver import RESULT, Received, Receiver
from tests.support.compose_project import ComposeProject
from tests.support.waiting import wait_for

ADDRESS = "127.77.0.1"
"""Where the ports are published: the machine's own may be in use at 127.0.0.1."""
MAIN = f"http://{ADDRESS}:9000"
AUTH_TOKEN = "PENTAD_TRYON__ASSET_SERVICE__INTERNAL_AUTH_TOKEN"
READY_SECONDS = 300
OPEN = ("queued", "running", "delivering")
JOBS = 6
"""Of half a second each and more: a look at so many meets some that are not done."""
KILLED = 137
"""Exit status of a container that did not end in time when it was told to."""


@dataclass
class ContainerStack:
    """A running compose project.

    Args:
        project: The compose file, up.
        secret_files: Folder with the secrets that it was given.
        receiver: Where results of try-on jobs are sent.
    """

    project: ComposeProject
    secret_files: Path
    receiver: Receiver

    def __post_init__(self) -> None:
        (client,) = yaml.safe_load((self.secret_files / "client-keys.yaml").read_text())
        self.key = str(client["key"])
        self.headers = {"X-API-Key": self.key}

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait for 200 on `/readyz`."""
        wait_for(lambda: self.status("/readyz") == 200, seconds, lambda: self._report()[-3000:])

    def status(self, path: str) -> int:
        """Return the status of a GET; 0 where nobody answers."""
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(MAIN + path, headers=self.headers, timeout=20).status_code
        return 0

    def get(self, path: str) -> Any:
        """Return the JSON of a GET."""
        reply = httpx.get(MAIN + path, headers=self.headers, timeout=60)
        reply.raise_for_status()
        return reply.json()

    def submit(self, demo: Path, seed: int) -> str:
        """Send a try-on job and return its id; it was accepted."""
        name = str(uuid.uuid4())
        fields = {"job_id": name, "user_id": "u1", "session_id": "s1", "provider": "qwen"}
        files = {
            "masked_user_image": (demo / "person.jpg").read_bytes(),
            "garment_image": (demo / "garment.jpg").read_bytes(),
        }
        reply = httpx.post(
            f"{MAIN}/vton/tryon",
            data={**fields, "config": f'{{"seed": {seed}}}'},
            files={key: (f"{key}.jpg", data, "image/jpeg") for key, data in files.items()},
            headers=self.headers,
            timeout=60,
        )
        assert reply.status_code == 202, reply.text
        return name

    def job(self, name: str) -> dict[str, Any]:
        """Return a job as `/vton/jobs` tells it."""
        return dict(self.get(f"/vton/jobs/{name}"))

    def ended(self, names: list[str], seconds: float = 240) -> list[dict[str, Any]]:
        """Wait for the end of jobs and return them."""

        def over() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return not any(self.job(name)["state"] in OPEN for name in names)
            return False

        wait_for(over, seconds, lambda: [self.job(name)["state"] for name in names])
        return [self.job(name) for name in names]

    def at_work(self, names: list[str]) -> bool:
        """Whether one of the jobs runs and others wait."""
        states = [self.job(name)["state"] for name in names]
        return "running" in states and "queued" in states

    def check_delivered(self, names: list[str]) -> None:
        """Check that every job ends with a result, and that its receiver knows it by one id."""
        ended = self.ended(names)
        assert {job["state"] for job in ended} == {"delivered"}
        for job in ended:
            reply = httpx.get(MAIN + job["result"], headers=self.headers, timeout=60)
            assert reply.headers["content-type"].startswith("image/")
            sent = self.received(job["job_id"])
            assert {event.event_id for event in sent} == {f"{job['job_id']}_asset_service"}

    def check_stopped_in_order(self) -> None:
        """Check that no container was killed and that the gateway ended before Triton did."""
        states = {service: self.project.state(service) for service in ("gateway", "triton")}
        assert KILLED not in {state["ExitCode"] for state in states.values()}
        ends = [str(states[service]["FinishedAt"])[:26] for service in ("gateway", "triton")]
        assert ends == sorted(ends)

    def received(self, name: str) -> list[Received]:
        """Return the requests that brought the receiver a job's result."""
        return [sent for sent in self.receiver.of(RESULT) if sent.fields["job_id"] == name]

    def volume(self, name: str) -> Path:
        """Return the folder of a volume on this machine."""
        full = f"{self.project.name}_{name}"
        return Path(
            self.project.engine.podman("volume", "inspect", "-f", "{{.Mountpoint}}", full).strip()
        )

    def crash(self, service: str, *, program: str = "") -> None:
        """Kill a container's first process, or a program or model in it, as a crash would.

        `podman kill`, as `docker kill`, counts as stopped by hand, after which nobody restarts it.
        """
        if program:
            commands = self.processes(service)
            named = [pid for pid, line in commands.items() if _executable(line) == program]
            loaded = [pid for pid, line in commands.items() if f"/{program}/" in line]
            (pid, *_) = named or loaded
        else:
            pid = int(self.project.state(service)["Pid"])
        os.kill(pid, signal.SIGKILL)

    def processes(self, service: str) -> dict[int, str]:
        """Return the command lines of a container's processes by their pid on this machine."""
        name = self.project.container(service)
        rows = self.project.engine.podman("top", name, "hpid", "args").splitlines()[1:]
        found = {}
        for row in rows:
            pid, _, command = row.strip().partition(" ")
            found[int(pid)] = command.strip()
        return found

    def wait_restarted(self, service: str, pid: int, seconds: float = 60) -> float:
        """Wait until a container runs with another first process; return the seconds."""
        begin = time.monotonic()

        def restarted() -> bool:
            state = self.project.state(service)
            return state["Running"] and state["Pid"] not in (0, pid)

        wait_for(restarted, seconds, lambda: self.project.state(service))
        return time.monotonic() - begin

    def _report(self) -> str:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(MAIN + "/readyz", headers=self.headers, timeout=20).text
        return self.project.log("gateway")


def _executable(command: str) -> str:
    """Return the name of the file that a command line runs."""
    return Path(command.split(" ", 1)[0]).name
