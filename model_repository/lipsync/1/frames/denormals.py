"""Lets a thread take numbers below the smallest normal one for zero.

ONNX Runtime's own setting for this works for the first session of a process only, and for the
thread that makes it: here there are several of both.
"""

from __future__ import annotations

import ctypes
import platform

_FLUSH_TO_ZERO = 1 << 15
_DENORMALS_ARE_ZERO = 1 << 6
"""Bits of MXCSR (Intel's manual, volume 1, 10.2.3)."""
_WORDS = 8
_MXCSR = 7
"""Of the C library's `fenv_t` on x86-64: 32 bits each, the last of them MXCSR."""


def flush_denormals() -> bool:
    """Make the calling thread take denormals for zero, in what it reads and what it computes.

    Returns:
        Whether it does now: on x86-64 with the GNU C library.
    """
    if platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL("libm.so.6")
    environment = (ctypes.c_uint32 * _WORDS)()
    if library.fegetenv(environment):
        return False
    environment[_MXCSR] |= _FLUSH_TO_ZERO | _DENORMALS_ARE_ZERO
    return bool(library.fesetenv(environment) == 0)
