"""A stand-in for Triton with the model `tryon`: deterministic, as slow as a test wants."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gateway.errors import GatewayError
from gateway.triton.status import WorkflowError
from gateway.triton.tensors import Array, Tensor, to_array
from tests.support.fake_triton import FakeTriton
from tests.support.tiny_pictures import png

STEPS = 4


@dataclass
class TryonTriton(FakeTriton):
    """Implements TritonPort for the try-on model.

    A garment whose bytes hold ``fail:CODE:STEP;`` fails; the result depends on both pictures and
    the seed alone.
    """

    seconds: float = 0.0
    """Duration of a run."""
    is_loaded: bool = True
    loading_error: str | None = None
    absent: str | None = None
    """Why a loaded engine takes no work."""
    runs: list[dict[str, Any]] = field(default_factory=list)
    """Options of every run that began."""
    ended: list[str] = field(default_factory=list)
    """Jobs whose run came to its end."""
    stopped: list[str] = field(default_factory=list)
    """Jobs whose run was cancelled."""
    at_once: int = 0
    most_at_once: int = 0
    run_failures: list[GatewayError] = field(default_factory=list)
    failures_kill: bool = False
    """Whether such a failure takes Triton with it."""
    permits: asyncio.Semaphore | None = None
    """If given, each step takes one of them before it is told."""
    described: int = 0
    """How often the model was asked what it is."""

    async def stream(
        self,
        model: str,
        inputs: Mapping[str, Tensor],
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[dict[str, Array], None]:
        found = {n: to_array(t.datatype, t.shape, t.data).flat[0] for n, t in inputs.items()}
        if "COMMAND" in found:
            assert json.loads(found["COMMAND"]) == {"op": "describe"}
            self.described += 1
            yield {"REPORT": _one(self.describe())}
            return
        options = json.loads(found["OPTIONS"])
        self.runs.append(options)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.run_failures:
                self.is_live = not self.failures_kill
                raise self.run_failures.pop(0)
            await self.gate.wait()
            for step in range(1, STEPS + 1):
                if self.permits:
                    await self.permits.acquire()
                await asyncio.sleep(self.seconds / STEPS)
                told = {"step": "Inference", "fraction": step / STEPS,
                        "engine_step": step, "engine_steps": STEPS}  # fmt: skip
                yield {"PROGRESS": _one(told)}
            if failure := re.search(rb"fail:(\w+):(\w+);", found["GARMENT"]):
                raise WorkflowError(*(part.decode() for part in failure.groups()))
            self.ended.append(options.get("job_id", ""))
            yield self.answer(found, options)
        except (asyncio.CancelledError, GeneratorExit):
            if options.get("job_id", "") not in self.ended:
                self.stopped.append(options.get("job_id", ""))
            raise
        finally:
            self.at_once -= 1

    def describe(self) -> dict[str, Any]:
        return {
            "loaded": self.is_loaded and not self.absent, "absent": self.absent,
            "loading_error": self.loading_error, "engine": "scripted",
            "model": "stand-in", "mode": None, "model_version": "1", "defaults": {},
            "gpu_memory_used_bytes": 12345, "device": "cpu",
        }  # fmt: skip

    def answer(self, found: Mapping[str, bytes], options: Mapping[str, Any]) -> dict[str, Array]:
        seed = options.get("seed")
        seed = 42 if seed is None else seed
        digest = hashlib.sha256(found["PERSON"] + found["GARMENT"] + str(seed).encode()).digest()
        report = {
            "engine": "scripted", "model": "stand-in", "mode": None, "photorealistic": False,
            "seed": seed, "steps": options.get("steps") or 4, "cfg": options.get("cfg") or 1.0,
            "width": 8, "height": 8, "content_type": "image/png",
            "inference_time_ms": round(self.seconds * 1000), "restored": False, "ignored": [],
            "step_ms": {"PrepareInputs": 1.0, "Inference": self.seconds * 1000},
        }  # fmt: skip
        made = {"IMAGE": np.array([png(8, 8, digest)], object), "REPORT": _one(report)}
        further = [
            png(8, 8, hashlib.sha256(digest + bytes([number])).digest())
            for number in range(1, options.get("num_samples", 1))
        ]
        if further:
            made["SAMPLES"] = np.array(further, object)
        if options.get("comparison"):
            made["COMPARISON"] = np.array([png(24, 8, digest)], object)
        return made


def _one(content: Mapping[str, Any]) -> Array:
    return np.array([json.dumps(content).encode()], object)
