"""New files that are written around the page cache, as pictures that wait are read only once.

In the page cache, a picture costs a copy into fresh pages, which is dear in a virtual machine (2 MB
on two cores: 9 ms against 2 ms, measured), and pushes out what is worth keeping.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections import deque
from pathlib import Path

BLOCK = 4096  # bytes; direct writes begin and end at multiples of it
BUFFER = 2**20  # bytes of one write
SPARE = 8  # buffers that are kept for the next files
_DIRECT = getattr(os, "O_DIRECT", 0)  # Linux has it
_spare: deque[mmap.mmap] = deque(maxlen=SPARE)


class DirectFile:
    """A file to be written once, from beginning to end; use it from one thread at a time.

    Where the file system knows no direct writes, it writes as ever.

    Args:
        path: replaced if it exists; readable by its owner alone.

    Raises:
        OSError: no room, or not permitted; of every method.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._buffer = _spare.pop()
        except IndexError:
            self._buffer = mmap.mmap(-1, BUFFER)
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
        self._direct = bool(_DIRECT)
        try:
            self._descriptor = os.open(path, flags | _DIRECT, 0o600)
        except OSError as error:
            if not _DIRECT or error.errno != errno.EINVAL:
                raise
            self._direct = False
            self._descriptor = os.open(path, flags, 0o600)
        self._filled = 0

    def write(self, data: bytes) -> None:
        """Append; it may stay in memory until :meth:`finish`."""
        done = 0
        while done < len(data):
            count = min(len(data) - done, BUFFER - self._filled)
            self._buffer[self._filled : self._filled + count] = data[done : done + count]
            self._filled += count
            done += count
            if self._filled == BUFFER:
                self._put(0, BUFFER)
                self._filled = 0

    def finish(self) -> None:
        """Write the rest; nothing may follow."""
        whole = self._filled - self._filled % BLOCK
        self._put(0, whole)
        self._through_the_cache()
        self._put(whole, self._filled)
        self._filled = 0

    def flush(self) -> None:
        """Put what is written on the disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close it, finished or not; once."""
        os.close(self._descriptor)
        _spare.append(self._buffer)

    def _put(self, begin: int, end: int) -> None:
        while begin < end:
            with memoryview(self._buffer) as view:
                try:
                    begin += os.write(self._descriptor, view[begin:end])
                except OSError as error:
                    if not self._direct or error.errno != errno.EINVAL:
                        raise
                    self._through_the_cache()  # it wants larger blocks than ours

    def _through_the_cache(self) -> None:
        if self._direct:
            flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags & ~_DIRECT)
            self._direct = False
