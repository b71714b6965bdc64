"""Who runs a job: a name per gateway process, and how another one sees that the process died."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Collection
from pathlib import Path

SUFFIX = ".lock"


class WorkerLock:
    """This process as the owner of jobs, by a lock on a file that ends with the process.

    A gateway on the same machine sees at once that an owner is dead, even after `kill -9`;
    elsewhere only its lease tells.

    Attributes:
        name: unique over all gateways and restarts.

    Args:
        folder: where the gateways of this machine that share the jobs have their lock files.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self.name = uuid.uuid4().hex
        file = folder / f"{self.name}{SUFFIX}"
        self._descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def dead(self, owners: Collection[str]) -> set[str]:
        """Return those of ``owners`` whose process is certainly gone."""
        return {name for name in owners if name != self.name and self._is_free(name)}

    def tidy(self, owners: Collection[str]) -> None:
        """Delete lock files of dead processes that own nothing any more."""
        for file in self._folder.glob(f"*{SUFFIX}"):
            name = file.name.removesuffix(SUFFIX)
            if name != self.name and name not in owners and self._is_free(name):
                file.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of everything, as the end of the process would."""
        os.close(self._descriptor)

    def _is_free(self, name: str) -> bool:
        try:
            descriptor = os.open(self._folder / f"{name}{SUFFIX}", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False  # of another machine, or unknown
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
