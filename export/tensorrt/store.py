"""Plans by key, what was refused, and what was timed; and the one plan in a model's folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from export.tensorrt.machine import PlanMachine
from gateway.triton.tensorrt_plans.key import (
    KEY,
    PLAN,
    PlanKey,
    PlanRecord,
    file_sha256,
    read_record,
)

REFUSED = "refused.json"


class PlanStore:
    """A folder of plans, which several machines may share."""

    def __init__(self, folder: Path) -> None:
        """Make the folder where it is missing."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """One builder at a time; blocks while there is another."""
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def find(self, key: PlanKey) -> PlanRecord | None:
        """Return the plan of a key; None where there is none, or its bytes have changed."""
        folder = self._folder / key.digest
        record = read_record(folder / KEY)
        with contextlib.suppress(OSError):
            if record and record.key == key and file_sha256(folder / PLAN) == record.plan_sha256:
                return record
        return None

    def put(self, plan: bytes, record: PlanRecord) -> None:
        """Keep a plan; the key file is written last."""
        folder = self._folder / record.key.digest
        folder.mkdir(exist_ok=True)
        (folder / REFUSED).unlink(missing_ok=True)
        (folder / KEY).unlink(missing_ok=True)
        _replace(folder / PLAN, plan)
        _write_record(folder / KEY, record)

    def refuse(self, key: PlanKey, why: dict[str, Any]) -> None:
        """Remembers that a precision failed its guard, so that it is not built at every start."""
        folder = self._folder / key.digest
        folder.mkdir(exist_ok=True)
        text = json.dumps({"key": asdict(key), **why}, indent=1, sort_keys=True)
        _replace(folder / REFUSED, text.encode())

    def refusal(self, key: PlanKey) -> dict[str, Any] | None:
        """Return what was measured when the precision of this key failed; None where it has not."""
        try:
            return dict(json.loads((self._folder / key.digest / REFUSED).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def timings(self, machine: PlanMachine) -> bytes:
        """TensorRT's timing cache for a machine; empty at first."""
        try:
            return self._timing_file(machine).read_bytes()
        except OSError:
            return b""

    def keep_timings(self, machine: PlanMachine, cache: bytes) -> None:
        """Replace the timing cache."""
        _replace(self._timing_file(machine), cache)

    def install(self, record: PlanRecord, folder: Path) -> bool:
        """Put a plan into a model's version folder; whether it was not there already."""
        if installed(folder) == record:
            return False
        (folder / KEY).unlink(missing_ok=True)
        part = folder / f".{PLAN}.part"
        shutil.copyfile(self._folder / record.key.digest / PLAN, part)
        os.replace(part, folder / PLAN)
        _write_record(folder / KEY, record)
        return True

    def _timing_file(self, machine: PlanMachine) -> Path:
        """Return a GPU's, by its model: what is quick on one is not on another."""
        gpu = re.sub(r"[^A-Za-z0-9]+", "-", machine.gpu)
        kind = f"{gpu}-{machine.compute_capability}"
        return self._folder / f"timing-{machine.tensorrt}-{kind}.cache"


def installed(folder: Path) -> PlanRecord | None:
    """Key file of the plan in a version folder; None where there is none, or it is another's."""
    record = read_record(folder / KEY)
    with contextlib.suppress(OSError):
        if record and file_sha256(folder / PLAN) == record.plan_sha256:
            return record
    return None


def retire(folder: Path) -> None:
    """Take a plan out of a version folder."""
    (folder / KEY).unlink(missing_ok=True)
    (folder / PLAN).unlink(missing_ok=True)


def _write_record(file: Path, record: PlanRecord) -> None:
    part = file.with_name(f".{file.name}.part")
    record.write(part)
    os.replace(part, file)


def _replace(file: Path, content: bytes) -> None:
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(content)
    os.replace(part, file)
