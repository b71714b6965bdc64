"""Locust users of virtual try-on; not in the mixed load, as one node does one job at a time.

    locust -f load_tests/locust_tryon.py --host http://127.0.0.1:9000 -u 11 --headless -t 60s

``AcceptUser`` hands jobs in, one a second each; ``WatchUser`` waits for the results of its own.
The pictures are ``PENTAD_LOAD_PERSON`` and ``PENTAD_LOAD_GARMENT``: by default a portrait without
hips, which the model refuses as `pose` after the first step. Name real ones to load the engine.
Where ``tryon.jobs.queue_size`` is 0 most jobs are answered 429, which counts as rejected.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path

from locust import constant_throughput, task

from load_tests import locustfile

PERSON = Path(os.environ.get("PENTAD_LOAD_PERSON", locustfile.PICTURES / "astronaut.jpg"))
GARMENT = Path(os.environ.get("PENTAD_LOAD_GARMENT", locustfile.PICTURES / "astronaut.jpg"))
PATIENCE_SECONDS = 120
POLL_SECONDS = 0.5


def _part(name: str, content: bytes, filename: str | None = None) -> bytes:
    file = f'; filename="{filename}"\r\nContent-Type: image/jpeg' if filename else ""
    head = f'--{locustfile.BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + content + b"\r\n"


class TryonUser(locustfile.PentadUser):
    """What both have in common: handing in a job."""

    abstract = True

    def on_start(self) -> None:
        """Read the pictures once."""
        self._pictures = _part("masked_user_image", PERSON.read_bytes(), PERSON.name)
        self._pictures += _part("garment_image", GARMENT.read_bytes(), GARMENT.name)

    def submit(self, name: str) -> str | None:
        """Hand in a new job and return its id, None where it was refused."""
        job = str(uuid.uuid4())
        fields = {"job_id": job, "user_id": "load-test", "session_id": job, "provider": "qwen",
                  "config": "{}"}  # fmt: skip
        body = b"".join(_part(field, value.encode()) for field, value in fields.items())
        body += self._pictures + f"--{locustfile.BOUNDARY}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={locustfile.BOUNDARY}"}
        with self.client.post(
            "/vton/tryon", data=body, headers={**self.headers, **kind}, name=name,
            catch_response=True,
        ) as response:  # fmt: skip
            if response.status_code == 429:
                locustfile.REJECTED[name] += 1
                if response.headers.get("Retry-After", "").isdigit():
                    response.success()
                else:
                    response.failure("rejected without an integer Retry-After")
                return None
            if response.status_code != 202 or json.loads(response.text)["job_id"] != job:
                response.failure(f"status {response.status_code}")
                return None
        return job


class AcceptUser(TryonUser):
    """Hands jobs in as a bridge does, and leaves the results to the callbacks."""

    fixed_count = 10
    wait_time = constant_throughput(1)

    @task
    def accept(self) -> None:
        """Hand in a job."""
        self.submit("tryon_accept")


class WatchUser(TryonUser):
    """Waits for the result of each job."""

    fixed_count = 1
    wait_time = constant_throughput(1)

    @task
    def watch(self) -> None:
        """Hand in a job and ask for its state until its inference is over."""
        job = self.submit("tryon_submit")
        end = time.monotonic() + PATIENCE_SECONDS
        while job and time.monotonic() < end:
            time.sleep(POLL_SECONDS)  # gevent's: other users go on
            state = self.state_of(job)
            if state not in ("queued", "running"):
                return

    def state_of(self, job: str) -> str:
        """Return the state of a job; one that ended badly is a failure."""
        with self.client.get(
            f"/vton/jobs/{job}", headers=self.headers, name="tryon_state", catch_response=True
        ) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
                return "lost"
            state = json.loads(response.text)
            ends_well = state["result"] or (state["error"] or {}).get("code") == "pose"
            if state["state"] not in ("queued", "running") and not ends_well:
                response.failure(f"ended as {state['state']}")
            return str(state["state"])
