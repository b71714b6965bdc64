from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.services.tryon.jobs import direct_file
from gateway.services.tryon.jobs.direct_file import BLOCK, BUFFER, DirectFile

EDGES = st.sampled_from([0, 1, BLOCK - 1, BLOCK, BLOCK + 1, BUFFER - 1, BUFFER, BUFFER + 1])
CONTENT = os.urandom(3 * BUFFER)
# The machine may be slow, and the folder serves all examples.
LENIENT = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


def written(path: Path, parts: list[bytes]) -> bytes:
    with contextlib.closing(DirectFile(path)) as file:
        for part in parts:
            file.write(part)
        file.finish()
        file.flush()
    return path.read_bytes()


@settings(max_examples=40, suppress_health_check=LENIENT)
@given(st.lists(EDGES | st.integers(0, BUFFER), max_size=4))
def test_whatever_the_sizes(tmp_path: Path, sizes: list[int]) -> None:
    starts = [7 * size % 1000 for size in sizes]
    parts = [CONTENT[start : start + size] for start, size in zip(starts, sizes, strict=True)]
    assert written(tmp_path / "file", parts) == b"".join(parts)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("refused", ["open", "write"])
def test_a_file_system_without_direct_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    real_open, real_write, refusals = os.open, os.write, []

    def refuse() -> None:
        refusals.append(1)
        raise OSError(errno.EINVAL, "no")

    def fake_open(path: Any, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_DIRECT and refused == "open":
            refuse()
        return real_open(path, flags, mode)

    def fake_write(descriptor: int, data: Any) -> int:
        if not refusals and refused == "write":
            refuse()
        return real_write(descriptor, data)

    monkeypatch.setattr(direct_file.os, "open", fake_open)
    monkeypatch.setattr(direct_file.os, "write", fake_write)
    parts = [CONTENT[: BUFFER + 5000]]
    assert written(tmp_path / "file", parts) == parts[0]
    assert refusals == [1]


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(direct_file.os, "write", full)
    with pytest.raises(OSError, match="full"):
        written(tmp_path / "file", [b"x" * 10])


def test_large_files_do_not_fill_the_page_cache(tmp_path: Path) -> None:
    """Where the file system can: all but the last block is not in memory afterwards."""
    file = tmp_path / "file"
    if not hasattr(os, "O_DIRECT"):
        pytest.skip("no direct writes")
    try:
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_DIRECT))
    except OSError:
        pytest.skip("this file system has no direct writes")
    with contextlib.closing(DirectFile(file)) as made:  # reading it would fetch it
        made.write(CONTENT)
        made.finish()
    pages = len(CONTENT) // mmap.PAGESIZE
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as view:
        resident = (ctypes.c_ubyte * pages)()
        start = ctypes.addressof(ctypes.c_ubyte.from_buffer(view))
        libc = ctypes.CDLL(None, use_errno=True)
        asked = libc.mincore(ctypes.c_void_p(start), ctypes.c_size_t(len(CONTENT)), resident)
        found = sum(one & 1 for one in resident)
    assert asked == 0
    assert found <= 2
