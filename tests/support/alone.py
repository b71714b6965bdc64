"""Turns on one machine: tests that measure it wait until no other process of their run tests."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Machine:
    """What the worker processes of one `pytest -n` share: beside others, or one of them alone.

    Locks of files, which end with the process that holds them. Every worker has a machine of its
    own on the same ``folder``.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._machine = os.open(folder / "machine", os.O_CREAT | os.O_RDWR, 0o600)
        self._turn = os.open(folder / "turn", os.O_CREAT | os.O_RDWR, 0o600)
        self._alone = False

    def close(self) -> None:
        """Leave it to the others."""
        os.close(self._turn)
        os.close(self._machine)

    @contextmanager
    def held(self, alone: bool, next_alone: bool) -> Iterator[None]:
        """Hold the machine for a test, as soon as nobody else has it in another way.

        Args:
            alone: nobody else may have it; otherwise nobody may have it alone.
            next_alone: whether to keep it between this test and the next, which needs it alone,
                too: the others would begin with something long at every such moment.
        """
        if not self._alone:
            # Whoever waits for it alone has the turn: those who share it would never let it go.
            fcntl.flock(self._turn, fcntl.LOCK_EX)
            try:
                fcntl.flock(self._machine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            finally:
                fcntl.flock(self._turn, fcntl.LOCK_UN)
        try:
            yield
        finally:
            self._alone = alone and next_alone
            if not self._alone:
                fcntl.flock(self._machine, fcntl.LOCK_UN)
