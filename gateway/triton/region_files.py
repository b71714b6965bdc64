"""Files in /dev/shm that this process maps, recognisable when their owner is gone."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import mmap
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SHM = Path("/dev/shm")  # noqa: S108 - where Linux keeps POSIX shared memory
PREFIX = "pentad-frames-"
_counter = itertools.count()


class RegionFile:
    """A mapped file of its own name, locked as long as this process lives.

    Attributes:
        name: in /dev/shm.
        size: in bytes.
        bytes: uint8 [size], the memory itself.

    Raises:
        OSError: no room in /dev/shm.
    """

    def __init__(self, size: int) -> None:
        self.name = f"{PREFIX}{os.getpid()}-{os.urandom(4).hex()}-{next(_counter)}"
        self.size = size
        self._descriptor = os.open(SHM / self.name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            # Room is taken now: a full /dev/shm is an error here, and no SIGBUS later.
            os.posix_fallocate(self._descriptor, 0, size)
            self.bytes: NDArray[np.uint8] = np.frombuffer(
                mmap.mmap(self._descriptor, size), dtype=np.uint8
            )
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """Remove the file; the memory lasts until everybody has unmapped it."""
        with contextlib.suppress(FileNotFoundError):
            (SHM / self.name).unlink()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def remove_leftovers() -> list[str]:
    """Remove the files of processes that ended without doing so, and return their names.

    The kernel drops a dead process's locks, so a file that can be locked has no owner; that holds
    across containers that share /dev/shm too.
    """
    removed = []
    for path in SHM.glob(f"{PREFIX}*"):
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError:  # gone meanwhile, or another user's
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            removed.append(path.name)
        except OSError:
            pass
        finally:
            os.close(descriptor)
    return removed
