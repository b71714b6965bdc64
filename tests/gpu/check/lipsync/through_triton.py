"""The model as it is deployed: in a tritonserver, through shared memory."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from load_tests.lipsync.pool_client import Caller, serving
from tests.gpu.check.lipsync.bench import BATCHES, MIN_PSNR, psnr
from tests.gpu.check.options import REPOSITORY, Options
from tests.gpu.check.section import Section
from tests.gpu.check.timing import milliseconds
from tests.support.lipsync_tenants import Plain, audio, frames, write_tenant


def check(section: Section, options: Options) -> None:
    """Time requests of each batch; the CPU's are one thread of ONNX Runtime.

    Raises:
        AssertionError: answers differ from those of a plain session.
    """
    section.against = "ONNX Runtime, one thread"
    with tempfile.TemporaryDirectory(prefix="pentad-check-") as folder:
        repository = Path(folder) / "repository"
        ignored = shutil.ignore_patterns("*.json", "__pycache__")
        shutil.copytree(REPOSITORY / "lipsync", repository / "lipsync", ignore=ignored)
        file = write_tenant(Path(folder), "one", 0, options.width)
        plain = Plain(file)
        on_cpu = milliseconds(lambda: plain(frames(1), audio()), options.times)
        with serving(repository, Path(folder) / "triton.log") as pool:
            told = pool.load(file)
            section.note("engine", told["engine"])
            section.note("memory_bytes of a tenant", told["memory_bytes"])
            assert not options.cuda or told["engine"].startswith("torch"), "the CPU took the tenant"
            for batch in BATCHES:
                caller = Caller(pool, frames(batch), audio())
                took = milliseconds(lambda caller=caller: caller.ask("one"), options.times) / batch
                section.add(f"a frame in requests of {batch}", "ms", took, on_cpu)
                if batch == BATCHES[1]:
                    agreement = psnr(plain(frames(batch), audio()), caller.mouths())
                    section.note("PSNR to FP32", f"{agreement:.1f} dB, at least {MIN_PSNR:g}")
                    assert agreement >= MIN_PSNR, f"{agreement:.1f} dB"
                time.sleep(0.2)  # Triton lets go of a region a moment after its last answer
                caller.close()
    section.headline = f"{took:.3g} ms a frame in requests of {BATCHES[-1]}"
