"""Makes Triton's embedded Python fit to start vLLM's processes; called before vLLM is imported.

In a Triton stub Python is a library: `sys.executable` is not the environment's interpreter, and
that is what vLLM would start its engine with.
"""

from __future__ import annotations

import multiprocessing
import os
import sys

import engine_kernels

DEFAULTS = {
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork of a process with threads can hang
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def prepare(offline: bool) -> str:
    """Set the interpreter for child processes and vLLM's variables that are not set yet.

    Args:
        offline: Whether the checkpoint is on disk, so that no hub needs to be asked.

    Returns:
        Path of the interpreter.
    """
    sys.executable = os.path.join(sys.prefix, "bin", "python3")
    multiprocessing.set_executable(sys.executable)
    for name, value in {**DEFAULTS, **engine_kernels.variables()}.items():
        os.environ.setdefault(name, value)
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    return sys.executable
