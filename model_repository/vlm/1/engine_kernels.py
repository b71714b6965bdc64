"""What vLLM compiles when it starts on a GPU, and how it starts where the tools are missing.

By vLLM 0.32.0's source. Always needed: a C compiler and Python's headers, by which the compiler
Triton builds the launcher of every kernel. Avoidable: `nvcc` and `ninja`, by which FlashInfer and
DeepGEMM compile CUDA; NVIDIA's Triton image has no nvcc, and where there is one it takes minutes.
vLLM looks for them before most uses of FlashInfer (`vllm.utils.flashinfer.has_flashinfer`), but not
before its sampler, nor before it prefers FlashInfer's attention on GPUs of capability 10.x.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess

SAMPLER = "VLLM_USE_FLASHINFER_SAMPLER"
DEEP_GEMM = "VLLM_USE_DEEP_GEMM"
"""Its FP8 kernels are compiled by nvcc; without it vLLM takes CUTLASS', which are in its wheel."""
TOOLKIT = "/usr/local/cuda"
"""Where FlashInfer looks at last."""
PREFERS_FLASHINFER = 10
"""Major compute capability at which vLLM prefers FlashInfer's attention (data-centre Blackwell)."""
ATTENTION = "FLASH_ATTN"
"""Its first choice elsewhere, and the next one there: FlashAttention 4, compiled without nvcc."""
COMPILER_SECONDS = 60

_TRY = """
import os, shutil, subprocess, sysconfig
compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
assert compiler
command = [compiler, "-x", "c", "-fsyntax-only", "-I", sysconfig.get_paths()["include"], "-"]
subprocess.run(command, input=b"#include <Python.h>", check=True)
"""
"""The compiler Triton's own search (`triton.runtime.build`)."""


class MissingCompilerError(RuntimeError):
    """This machine cannot compile what vLLM needs."""


def has_cuda_compiler() -> bool:
    """Whether FlashInfer's kernels can be compiled here, or are there as a package."""
    if importlib.util.find_spec("flashinfer_jit_cache") is not None:
        return True
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    if not home:
        compiler = shutil.which("nvcc")
        home = os.path.dirname(os.path.dirname(compiler)) if compiler else TOOLKIT
    return bool(shutil.which(os.path.join(home, "bin", "nvcc")) and shutil.which("ninja"))


def variables() -> dict[str, str]:
    """Variables of vLLM by what this machine can compile, as defaults of the environment."""
    # PyTorch's sampling is enough for `max_num_seqs` sequences, with any toolkit.
    return {SAMPLER: "0"} if has_cuda_compiler() else {SAMPLER: "0", DEEP_GEMM: "0"}


def attention(capability: int) -> str | None:
    """Attention backend to ask vLLM for, or None for its own choice.

    Args:
        capability: Major compute capability of the GPU.
    """
    avoided = capability == PREFERS_FLASHINFER and not has_cuda_compiler()
    return ATTENTION if avoided else None


def check_compiler(python: str) -> None:
    """Try the C compiler on Python's headers.

    Args:
        python: Interpreter of the environment that vLLM's processes run in.

    Raises:
        MissingCompilerError: One of both is missing.
    """
    try:
        subprocess.run(
            [python, "-c", _TRY], check=True, capture_output=True, timeout=COMPILER_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        raise MissingCompilerError(
            "it compiles kernels when it starts, and needs a C compiler (gcc) and Python's "
            "headers (python3-dev) for it"
        ) from None
