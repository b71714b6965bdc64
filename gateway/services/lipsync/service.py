"""The lip-sync service: its tenants, its devices, and how health sees them."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

import numpy as np

from gateway.admission import Admission
from gateway.context import Context, Service
from gateway.errors import InferenceError, NotFoundError, UnavailableError
from gateway.health.attempts import Asking
from gateway.health.probe import probe
from gateway.health.state import ModelState
from gateway.pictures import png_rgb
from gateway.services.lipsync.audio.features import (
    AudioAwayError,
    AudioError,
    AudioFeatures,
    LastingAudio,
)
from gateway.services.lipsync.audio.mel import Floats
from gateway.services.lipsync.inference import MouthInference
from gateway.services.lipsync.preview import FACE, SIDE, SILENCE, as_rgb, frames_of
from gateway.services.lipsync.request import MouthRequest
from gateway.services.lipsync.tenants.device import Commands, Device, DeviceFigures
from gateway.services.lipsync.tenants.metrics import PoolMetrics
from gateway.services.lipsync.tenants.pool import TenantPool
from gateway.services.lipsync.tenants.reconciler import Reconciler
from gateway.services.lipsync.tenants.source import CatalogueSource
from gateway.services.lipsync.tenants.views import PoolCollector
from gateway.triton import Tensor
from gateway.triton.shared_memory import Regions
from gateway.triton.status import RefusedInputError
from gateway.triton.tensors import bytes_tensor

log = logging.getLogger(__name__)
_LOGGERS = ("gateway.services.lipsync.tenants", "gateway.services.lipsync.grpc")


class LipsyncService(Service):
    """Tenants on devices behind one admission.

    Attributes:
        admission: calls taken in, those that wait for a load included.
        models: one per device, and the audio encoder.
        audio: makes features of sound; None where no encoder is configured.
    """

    name = "lipsync"

    def __init__(self, context: Context) -> None:
        self._context = context
        self.settings = settings = context.settings.lipsync
        self.admission = context.admission(self.name, settings)
        devices = [self._device(index, name) for index, name in enumerate(settings.device_models)]
        self._by_model = {device.model.triton_model: device for device in devices}
        self.models = [device.model for device in devices]
        self.audio: LastingAudio | None = None
        if encoder := settings.audio_encoder_model:
            state = ModelState("audio features", encoder, ())
            features = AudioFeatures(context.triton, encoder)
            self.audio = LastingAudio(features, partial(Asking, context.monitor, state))
            self.models.append(state)
        metrics = PoolMetrics(context.metrics, settings.metrics_tenants)
        self.pool = TenantPool(settings, devices, context.monitor, metrics)
        context.metrics.add(PoolCollector(self.pool.device_rows, self.pool.rows))
        self._reconciler = Reconciler(
            self.pool, CatalogueSource(context.settings), settings, context.gpus
        )
        self.regions = Regions(
            context.triton,
            context.settings.triton.urls[0],
            settings.transport,
            settings.shared_memory_mb * 2**20,
        )
        context.monitor.warn_of(self.regions.warning)
        self.inference = MouthInference(
            context.triton, self.pool, self.regions, context.tracing.headers
        )

    async def start(self) -> None:
        """Read the catalogue and begin to keep it.

        Raises:
            ValueError: a configured path leaves `models_root`.
        """
        level = getattr(logging, self.settings.logging.level.upper())
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(max(level, logging.getLogger().level))
        await self._reconciler.start()

    def reload(self) -> None:
        """Read the catalogue's files again now."""
        self._reconciler.reload()

    async def stop(self) -> None:
        """End the background work; call it when no request is under way."""
        await self._reconciler.stop()
        await self.pool.close()
        await self.regions.close()

    async def canary(self, model: ModelState, timeout: float) -> dict[str, Any]:
        """Ask a device what it has, and run one frame of a tenant that it has.

        A device without tenants has answered the question, which is all there is to prove: a
        tenant brought in for the canary alone might take the place of one that is needed.
        """
        device = self._by_model.get(model.triton_model)
        if device is None:
            await probe(self._context.triton, model.triton_model, timeout)
            return {"model": model.triton_model}
        stats = await self.pool.survey(device, timeout)
        # By what the devices have turned out to be.
        computed = sum(device.admission.slots for device in self.pool.devices)
        self.admission.resize(computed + self.settings.loading_calls)
        await self.regions.look()
        if stats.tenants:
            await self._frame(device, timeout)
        return {"model": stats.info.get("model", model.triton_model), "engine": stats.engine}

    def figures(self) -> DeviceFigures:
        """Return what all devices make, as far as they have said so."""
        devices = [device.stats for device in self.pool.devices]
        made = [stats.frames_per_second for stats in devices]
        known = [figure for figure in made if figure is not None]
        return DeviceFigures(
            frames_per_second=sum(known) if known and len(known) == len(made) else None,
            workers=sum(stats.workers for stats in devices),
        )

    async def preview(self, tenant: str) -> bytes:
        """Return a PNG of one frame that the tenant makes of a drawn face and silence.

        Raises:
            UnknownTenantError: no such tenant.
            TenantLoadError: it cannot be loaded.
            GatewayError: busy, down, deadline or failed inference.
        """
        async with self.admission.slot():
            mouths = MouthRequest.of(tenant, (FACE, "UINT8", 1, 3), (SILENCE, 1), "UINT8")
            result = await self.inference.run(mouths, self.settings.server.deadline_seconds)
        return await asyncio.to_thread(png_rgb, as_rgb(result.data))

    async def clip(self, tenant: str, sound: Floats) -> bytes:
        """Return a PNG of the frames in which a drawn face says a sound, one below the other.

        Args:
            tenant: id.
            sound: float32 [n] from -1 to 1, 16 kHz; `preview.MAX_SECONDS` at most.

        Raises:
            NotFoundError: no audio encoder is configured.
            UnknownTenantError: no such tenant.
            TenantLoadError: it cannot be loaded.
            GatewayError: busy, down, deadline or failed inference.
        """
        if self.audio is None:
            raise NotFoundError("No audio encoder is configured (lipsync.audio_encoder)")
        count, longest = frames_of(sound), self.settings.server.deadline_seconds
        async with self.admission.slot():
            try:
                audio = await self.audio.of_frames(memoryview(sound.tobytes()), count, longest)
            except AudioAwayError as error:
                raise UnavailableError(str(error)) from None
            except AudioError as error:
                raise InferenceError(str(error)) from None
            faces = np.repeat(FACE, count, axis=0)
            mouths = MouthRequest.of(tenant, (faces, "UINT8", count, 3), (audio, count), "UINT8")
            result = await self.inference.run(mouths, longest)
        return await asyncio.to_thread(lambda: png_rgb(as_rgb(result.data)))

    async def _frame(self, device: Device, timeout: float) -> None:
        """Run one frame of the tenant that was used last; that it is answered is the proof.

        What a tenant's weights make of it is not the device's fault, nor is a refusal.
        """
        chosen = self.pool.hold_latest(device)
        if chosen is None:
            return
        try:
            await self._context.triton.infer(
                device.model.triton_model,
                {
                    "TENANT": bytes_tensor([chosen.tenant.encode()], rows=False),
                    "FRAMES_UINT8": Tensor("UINT8", (1, 3, SIDE, SIDE), FACE.tobytes()),
                    "AUDIO": Tensor("FP32", (1, 32, 16, 16), bytes(SILENCE)),
                },
                ("MOUTH_FP32",),
                timeout=timeout,
            )
        except RefusedInputError as error:
            log.warning("canary refused", extra={"tenant": chosen.tenant, "code": error.code})
            if error.code == "tenant_not_loaded":
                self.pool.lost(chosen)
        finally:
            self.pool.release(chosen)

    def _device(self, index: int, model: str) -> Device:
        server, metrics = self.settings.server, self._context.metrics
        triton = self._context.triton
        return Device(
            index,
            ModelState("lip-sync", model, ()),
            Commands(triton, model, self._context.settings.triton.load_timeout_seconds),
            Admission(
                server.calls_at_once(on_gpu=False),  # until the model says what it has
                self.settings.max_concurrent,  # more are never taken in
                server.deadline_seconds,
                lambda reason: metrics.rejected.labels(self.name, reason).inc(),
            ),
        )
