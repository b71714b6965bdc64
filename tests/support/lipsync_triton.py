"""A stand-in for Triton with the models `lipsync` and `audio_encoder`, shared memory included.

A mouth is the frame's first three planes plus the first and last value of its audio block plus the
number at the end of the tenant's id, so every answer tells what it was made from.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gateway.errors import GatewayError
from gateway.triton.status import MemoryRefusedError, RefusedInputError, RegionUnknownError
from gateway.triton.tensors import Array, PlacedTensor, RegionSpan, Tensor, to_array
from tests.support.fake_triton import FakeTriton
from tests.support.waiting import opened

BYTES = {"FP32": 4, "FP16": 2, "UINT8": 1}
KINDS = {"FP32": np.float32, "FP16": np.float16, "UINT8": np.uint8}
SIDE = 320


def mark(tenant: str) -> float:
    """What a tenant adds to every pixel."""
    found = re.search(r"\d+$", tenant)
    return int(found.group()) / 100 if found else 0.0


def mouth(frames: Array, audio: Array, tenant: str) -> Array:
    """The answer for frames from 0 to 1, float32 [n,3,320,320]."""
    values = audio.reshape(len(audio), -1)
    sound = np.broadcast_to(values[:, 0] + values[:, -1], len(frames))
    return frames[:, :3].astype(np.float32) + sound[:, None, None, None] + np.float32(mark(tenant))


@dataclass
class LipsyncTriton(FakeTriton):
    """Implements TritonPort for the lip-sync models."""

    remote: bool = False
    """Whether shared memory cannot be mapped."""
    refuses: bool = False
    """Whether it was started without `--allow-client-shm=true`, from release 26.04 on."""
    forgets: bool = False
    """Whether it then says of a region that it does not know it."""
    tenants: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """By model and id."""
    regions: dict[str, int] = field(default_factory=dict)
    encoder_failures: list[GatewayError] = field(default_factory=list)
    transports: list[str] = field(default_factory=list)
    """How the frames of every inference came."""
    due: list[tuple[float, float]] = field(default_factory=list)
    """Milliseconds until the first frame is due and between two, of inferences that say so."""
    timeouts: list[float] = field(default_factory=list)
    seconds: float = 0.0
    """How long an inference takes."""
    running: dict[str, int] = field(default_factory=dict)
    answers_late: bool = False
    """Whether a cancelled inference runs on and writes its answer, as Triton's may."""
    late_gate: asyncio.Event = field(default_factory=opened)
    """Such an inference ends when it is open."""
    frames_per_second: float | None = None
    """What it says of its speed."""
    commands: list[tuple[str, str]] = field(default_factory=list)
    """Operation and tenant of every command."""
    stragglers: set[asyncio.Task[None]] = field(default_factory=set)

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Tensor | PlacedTensor],
        outputs: Sequence[str],
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        placed: Mapping[str, RegionSpan] | None = None,
        tell_timeout: bool = False,
    ) -> dict[str, Array]:
        if model == "audio_encoder":
            if "mel" not in inputs:  # a canary
                return {name: np.zeros((1, 4), np.float32) for name in outputs}
            if self.encoder_failures:
                raise self.encoder_failures.pop(0)
            mel = self._array(inputs["mel"])
            return {"audio_features": np.repeat(mel.mean(axis=(2, 3)), 512, axis=1)}
        if "COMMAND" in inputs:
            command = json.loads(self._array(inputs["COMMAND"]).flat[0])
            report = await self._command(model, command)
            return {"REPORT": np.array([json.dumps(report).encode()], object)}
        if self.failures and tell_timeout:
            raise self.failures.pop(0)
        tenant = self._array(inputs["TENANT"]).flat[0].decode()
        if tenant not in self.tenants.get(model, {}):
            raise RefusedInputError("tenant_not_loaded")
        (name,) = (one for one in inputs if one.startswith("FRAMES_"))
        if "DUE" in inputs:
            self.due.append(tuple(self._array(inputs["DUE"]).tolist()))
        if tell_timeout:  # else it is a canary
            self.calls.append((tenant, inputs[name].shape[0]))
            self.transports.append("grpc" if isinstance(inputs[name], Tensor) else "shared_memory")
            self.timeouts.append(timeout)
        self.running[tenant] = self.running.get(tenant, 0) + 1
        try:
            if tell_timeout:
                await self.gate.wait()
            await asyncio.sleep(self.seconds if tell_timeout else 0)
        except asyncio.CancelledError:
            self.cancelled += 1
            if self.answers_late:
                task = asyncio.ensure_future(self._late(tenant, inputs, name, placed))
                self.stragglers.add(task)
                task.add_done_callback(self.stragglers.discard)
                self.running[tenant] += 1
            raise
        finally:
            self.running[tenant] -= 1
        self.tenants[model][tenant]["frames"] += inputs[name].shape[0]
        found = self._answer(tenant, inputs, name, {*outputs, *(placed or {})})
        self._write(found, placed)
        return {name: found[name] for name in outputs}

    async def _late(
        self,
        tenant: str,
        inputs: Mapping[str, Tensor | PlacedTensor],
        name: str,
        placed: Mapping[str, RegionSpan] | None,
    ) -> None:
        await self.late_gate.wait()
        self._write(self._answer(tenant, inputs, name, set(placed or {})), placed)
        self.running[tenant] -= 1

    def _answer(
        self,
        tenant: str,
        inputs: Mapping[str, Tensor | PlacedTensor],
        name: str,
        wanted: set[str],
    ) -> dict[str, Array]:
        frames, audio = self._array(inputs[name]), self._array(inputs["AUDIO"])
        scale = 255 if name == "FRAMES_UINT8" else 1
        made = mouth(frames.astype(np.float32) / scale, audio, tenant)
        found: dict[str, Array] = {"TIMING": np.array([0.5, 12.5], np.float32)}
        for output in wanted - {"TIMING"}:
            kind = output.removeprefix("MOUTH_")
            scaled = np.clip(np.round(made * 255), 0, 255) if kind == "UINT8" else made
            found[output] = scaled.astype(KINDS[kind])
        return found

    def _write(self, found: dict[str, Array], placed: Mapping[str, RegionSpan] | None) -> None:
        for output, place in (placed or {}).items():
            assert place.size == found[output].nbytes
            self._region(place)[:] = found[output].reshape(-1).view(np.uint8)

    def _array(self, tensor: Tensor | PlacedTensor) -> Array:
        if isinstance(tensor, Tensor):
            return to_array(tensor.datatype, tensor.shape, tensor.data)
        size = math.prod(tensor.shape) * BYTES[tensor.datatype]
        assert tensor.place.size == size
        return self._region(tensor.place).view(KINDS[tensor.datatype]).reshape(tensor.shape)

    def _region(self, place: RegionSpan) -> Array:
        if self.refuses:
            raise (RegionUnknownError if self.forgets else MemoryRefusedError)(retry_after=2)
        if place.region not in self.regions:
            raise RegionUnknownError
        assert place.offset + place.size <= self.regions[place.region]
        whole = np.memmap(f"/dev/shm/{place.region}", np.uint8, "r+")
        return whole[place.offset : place.offset + place.size]

    async def _command(self, model: str, command: dict[str, Any]) -> dict[str, Any]:
        table = self.tenants.setdefault(model, {})
        tenant = command.get("tenant", "")
        self.commands.append((command["op"], tenant))
        if command["op"] == "load":
            text = self._file(Path(command["path"]))
            await asyncio.sleep(self.delay)
            known = tenant in table and not command["force"]
            if not known:
                table[tenant] = {
                    "memory_bytes": 1000 + len(text), "graph": "ab" * 32,
                    "loaded_unix_ms": 1, "frames": 0, "in_flight": 0,
                }  # fmt: skip
            return {**table[tenant], "load_ms": 1.0, "imported": False, "frame_limit": 50}
        if command["op"] == "unload":
            return {"unloaded": table.pop(tenant, None) is not None}
        device = {"kind": "cpu", "index": 0, "name": "Toy CPU", "memory_total_bytes": 2**34,
                  "memory_used_bytes": 2**30}  # fmt: skip
        told = {
            name: {**one, "in_flight": self.running.get(name, 0)} for name, one in table.items()
        }
        return {
            "device": device, "tenants": told, "engine": "toy", "model": model,
            "frames_per_second": self.frames_per_second,
        }  # fmt: skip

    @staticmethod
    def _file(path: Path) -> str:
        if not path.is_file():
            raise RefusedInputError("tenant_file_missing")
        text = path.read_text()
        if text.startswith("bad"):
            raise RefusedInputError("tenant_file_invalid")
        return text

    async def check_memory(self) -> None:
        if self.refuses:
            raise MemoryRefusedError(retry_after=2)

    async def register_memory(self, name: str, size: int) -> None:
        await self.check_memory()
        if self.remote or not Path("/dev/shm", name).is_file():
            raise GatewayError
        self.regions[name] = size

    async def unregister_memory(self, name: str) -> None:
        self.regions.pop(name, None)
