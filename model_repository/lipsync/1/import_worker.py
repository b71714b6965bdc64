"""Process that imports tenants: one JSON object per line in, one out.

Started by tenants/import_process.py. What a file makes ONNX and ONNX Runtime do, it does here, in
bounded memory: a crash or a bomb costs one import.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
from pathlib import Path

from lipsync_errors import RefusedError
from tenants.importing import import_tenant

IDLE_SECONDS = 20
"""Without work the process ends: an import leaves some 200 MB behind."""
BASE_BYTES = 3 * 2**30
"""Address space of the interpreter, the libraries and the activations of a frame."""
COPIES = 12
"""Of the file: parsed, optimised twice, each with its session."""
NICE = 5
"""Frames of other tenants come first."""
CPU_SECONDS = 40.0
"""Of one import and its golden frames; the documented network takes about two."""
CPU_SECONDS_PER_BYTE = 1 / 2**23
"""More for large files: they are hashed, parsed, optimised twice and written."""
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Works until the standard input ends or nothing came for a while."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.nice(NICE)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    while select.select([0], [], [], IDLE_SECONDS)[0]:
        line = sys.stdin.readline()
        if not line:
            break
        answers.write(json.dumps(_answer(json.loads(line))) + "\n")
        answers.flush()


def _answer(task: dict[str, str]) -> dict[str, str]:
    path = Path(task["path"])
    try:
        size = _size(path)
        _limit_memory(size)
        # Its signal ends the process, wherever ONNX Runtime is in it.
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS + size * CPU_SECONDS_PER_BYTE)
        import_tenant(path, Path(task["folder"]), task["layout"])
    except RefusedError as error:
        return {"code": error.code, "reason": error.reason}
    except MemoryError:
        return {"code": "tenant_file_invalid", "reason": "importing it takes too much memory"}
    except OSError as error:
        reason = f"the import cannot be written ({error.strerror})"
        return {"code": "tenant_file_invalid", "reason": reason}
    except Exception as error:
        reason = f"the import failed ({type(error).__name__})"
        return {"code": "tenant_file_invalid", "reason": reason}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return {}


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def _limit_memory(size: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = BASE_BYTES + COPIES * size
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


if __name__ == "__main__":
    main()
