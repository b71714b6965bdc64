"""The lip-sync service: tenants, devices, capacity; keys of the old server keep their names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from gateway.capacity import facts
from gateway.settings.base import Section, ServiceSection
from gateway.settings.old_files import lipsync_values, merged

CALLS_ON_A_CPU = 4  # in a device's model at once; its frames run in turns
CALLS_PER_GPU_SLOT = 3
"""A call holds its place while its frames are read, its answer is copied and sent: by the figures
of docs/operations/scale.md longer than a slot computes (25 frames of 0.35 ms, and 0.75 ms of CPU
each to hand them on, one call after the other), so that with one call a slot would stand still for
most of the time."""
LOADING_CALLS = 16  # per device, beside those in work: calls that wait while their tenant is loaded
TENANT_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"


class TlsSettings(Section):
    """TLS of the gRPC port; without a certificate it is plaintext."""

    certificate: Path | None = None
    """PEM file of the server's certificate chain."""
    key: Path | None = None
    """PEM file of its private key."""
    client_ca: Path | None = None
    """PEM file of the authorities whose client certificates are demanded (mutual TLS)."""

    @model_validator(mode="after")
    def _complete(self) -> TlsSettings:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together")
        if self.client_ca and not self.certificate:
            raise ValueError("client_ca needs certificate and key")
        return self


class LipsyncServerSettings(Section):
    """The gRPC listener and what each device takes at once."""

    port: int | None = Field(50051, ge=1, le=65535)
    """gRPC port, also in the old form `:50051`; null: not served. The address is `server.host`."""
    max_message_size_mb: int = Field(128, ge=1, le=2047)
    """Largest message in MiB, both ways. The old server's default, 50, holds 21 frames; 50 frames
    need 118."""
    worker_count_per_gpu: int | None = Field(None, ge=1, le=256)
    """Calls in a device's model at once; none: 4 on a CPU, 3 for each of the 4 slots of a GPU."""
    queue_size: int = Field(200, ge=0)
    """Calls that may wait per device; the next one is refused at once."""
    slot_wait_seconds: float = Field(10, ge=0)
    """Longest wait for a slot; the compositing server's own timeout."""
    deadline_seconds: float = Field(120, gt=0)
    """Longest time for one call, whatever deadline the client has set."""
    message_seconds: float = Field(30, gt=0)
    """Longest time in which the message of a call must have arrived."""
    stream_seconds: float = Field(900, gt=0)
    """Longest time for one InferStream call; its client goes on with another one."""
    stream_share: float = Field(0.95, gt=0)
    """Share of the frames that can be made, by what models and streams have measured, which streams
    with a `delay_ms` may need; the next one is refused. The first is always taken."""
    keepalive_seconds: float = Field(10, gt=0)
    """Idle time of a connection after which the server pings."""
    keepalive_timeout_seconds: float = Field(3, gt=0)
    """How long the answer to a ping may take."""
    min_ping_interval_seconds: float = Field(5, ge=0)
    """Clients that ping more often are disconnected."""
    reflection: bool = True
    """Whether tools may ask for the interface (grpcurl without -proto)."""
    tls: TlsSettings = TlsSettings()

    def calls_at_once(self, *, on_gpu: bool) -> int:
        """Return the calls that a device's model gets at once."""
        usual = CALLS_PER_GPU_SLOT * facts.GPU_SLOTS if on_gpu else CALLS_ON_A_CPU
        return self.worker_count_per_gpu or usual

    @field_validator("port", mode="before")
    @classmethod
    def _old_form(cls, value: Any) -> Any:
        """`:50051` and `host:50051` name the port; the host part was never a choice of Pentad."""
        return value.rpartition(":")[2] if isinstance(value, str) else value


class DeviceSettings(Section):
    """The devices that tenants are placed on."""

    enabled: bool | None = None
    """true: GPUs; false: the CPU even where there is a GPU; none: GPUs where there are any. Without
    a working GPU the CPU computes, and Health says so."""
    count: int = Field(1, ge=1, le=64)
    """Devices, one Triton model each. On a machine without GPUs they share its cores."""
    memory_gb_per_gpu: float = Field(0, ge=0)
    """Memory for tenants on one device in GiB; 0: what the hardware has, and of a card that other
    models are on what they leave (`python -m gateway plan`)."""
    assignment_strategy: Literal["round-robin", "least-loaded", "dedicated"] = "round-robin"
    """Device of a tenant that prefers none: the next in turn, the one with the fewest tenants, or
    always the same one by its name (a hash)."""
    allow_multi_gpu_models: bool = False
    """Whether a tenant whose devices are all busy is loaded on a further one too."""


class CapacitySettings(Section):
    """How many tenants are resident, and who leaves first."""

    max_models: int = Field(1200, ge=1)
    """Most resident tenants over all devices; a tenant on two devices counts twice."""
    max_memory_gb: float = Field(0, ge=0)
    """Measured memory of all resident tenants in GiB; 0: no limit."""
    eviction_policy: Literal["lru", "lfu"] = "lfu"
    """Who leaves: the least recently, or the least frequently used."""
    idle_timeout_minutes: float = Field(0, ge=0)
    """A tenant unused for so long is unloaded; 0: never."""
    lfu_half_life_minutes: float = Field(30, gt=0)
    """Time in which a past use loses half of its weight for `lfu`."""
    min_residency_seconds: float = Field(10, ge=0)
    """A tenant is not evicted sooner after its load, unless there is nobody else."""


class OnnxSettings(Section):
    """Of the old server, accepted so that its files are valid; Pentad's engine decides itself."""

    library_path: str = ""
    """Without effect: ONNX Runtime comes with the installation."""
    cuda_streams_per_worker: int = Field(2, ge=1)
    """Without effect: one stream per slot."""
    intra_op_threads: int = Field(4, ge=0)
    """Without effect: a frame runs on one core, the frames of all calls on all cores."""
    inter_op_threads: int = Field(2, ge=0)
    """Without effect, as `intra_op_threads`."""


class TenantSettings(Section):
    """One tenant."""

    model_path: str = Field(min_length=1)
    """Its ONNX file, relative to `models_root`."""
    preload: bool = False
    """Load it at start; a failure is a warning."""
    preferred_gpu: int | None = Field(None, ge=-1)
    """Device it is placed on; none or -1: by `gpus.assignment_strategy`. (The old server placed a
    tenant without this key on GPU 0.)"""
    pinned: bool = False
    """Never evicted, not even when idle; loaded at start."""


class LipsyncLogSettings(Section):
    """What the service logs."""

    level: Literal["debug", "info", "warn", "warning", "error"] = "info"
    """Least severe level of the service's own lines; `telemetry.log_level` holds as well."""
    log_inference_times: bool = False
    """One line per inference: tenant, device, frames, milliseconds."""
    log_gpu_utilization: bool = False
    """One line a minute per device: utilisation, memory, tenants."""


class LipsyncSettings(ServiceSection):
    """The lip-sync API: gRPC on its own port, tenants under `/lipsync` on the main port."""

    config: Path | None = None
    """The old server's config.yaml, used as it is: its values hold unless given here. Relative
    `models_root` and `model_path` in it are relative to the current folder, as they were."""
    server: LipsyncServerSettings = LipsyncServerSettings()
    gpus: DeviceSettings = DeviceSettings()
    capacity: CapacitySettings = CapacitySettings()
    onnx: OnnxSettings = OnnxSettings()
    models_root: str = ""
    """Folder that relative `model_path`s are in."""
    models: dict[str, TenantSettings] = {}
    """Tenants by id (letters, digits, `.`, `_`, `-`). Changes are noticed while serving."""
    watch_folder: Path | None = None
    """Every `*.onnx` put here is a tenant with its name as id; removing the file removes it."""
    logging: LipsyncLogSettings = LipsyncLogSettings()
    triton_model: str = "lipsync"
    """Triton model of device 0; those of the others end in `_1`, `_2`, …"""
    audio_encoder: Path | None = None
    """ONNX file that turns mel windows into audio features; none: `raw_audio` is refused."""
    audio_model: str = "audio_encoder"
    """Triton model made from it by `make models`."""
    mask: tuple[int, int, int, int] = (5, 5, 310, 305)
    """Rectangle of the mouth in a 320x320 frame (left, top, right, bottom; both corners inside)
    that the server blackens when a request brings three channels."""
    transport: Literal["auto", "shared_memory", "grpc"] = "auto"
    """How frames reach Triton; `auto`: shared memory where Triton runs on this machine."""
    shared_memory_mb: int = Field(1024, ge=1)
    """Most shared memory for frames, MiB."""
    separate_control_key: bool = False
    """Whether loading and unloading need a key that names the service `lipsync-control`; else any
    key of `lipsync` will do."""
    blob_folder: Path | None = None
    """Where imported tenants are kept; none: `.pentad` beside each tenant's file."""
    metrics_tenants: int = Field(50, ge=0, le=1000)
    """Tenants that get their own labels in Prometheus; all further ones are `other`."""
    demo_tenants: int = Field(2, ge=0)
    """Tenants that `make models` makes when none is configured: not trained, they give the face
    back with a mouth that opens with the sound."""
    max_body_bytes: int = Field(2**20, ge=1024)
    """Largest body of a REST request in bytes."""

    @model_validator(mode="before")
    @classmethod
    def _with_old_file(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("config"):
            return merged(lipsync_values(Path(values["config"])), values)
        return values

    @field_validator("models")
    @classmethod
    def _ids(cls, models: dict[str, TenantSettings]) -> dict[str, TenantSettings]:
        for name in models:
            if not re.match(TENANT_ID, name):
                raise ValueError(f"{name!r} is no tenant id")
        return models

    @field_validator("mask")
    @classmethod
    def _mask_in_frame(cls, mask: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        left, top, right, bottom = mask
        if not (0 <= left <= right <= 319 and 0 <= top <= bottom <= 319):
            raise ValueError("must lie in the frame: 0 <= left <= right <= 319, as top and bottom")
        return mask

    @model_validator(mode="after")
    def _preferences_exist(self) -> LipsyncSettings:
        for name, entry in self.models.items():
            if entry.preferred_gpu is not None and entry.preferred_gpu >= self.gpus.count:
                raise ValueError(
                    f"models.{name}.preferred_gpu is {entry.preferred_gpu}, but gpus.count is "
                    f"{self.gpus.count}"
                )
        return self

    @property
    def port(self) -> int | None:
        """The gRPC port, as the other services name theirs."""
        return self.server.port

    @property
    def max_concurrent(self) -> int:
        """Calls taken in at once: those in work and those that wait for their tenant's load."""
        most = max(self.server.calls_at_once(on_gpu=gpu) for gpu in (True, False))
        return self.gpus.count * (most + LOADING_CALLS)

    @property
    def max_waiting(self) -> int:
        """Calls that may wait to be taken in."""
        return self.gpus.count * self.server.queue_size

    @property
    def slot_wait_seconds(self) -> float:
        """Longest wait to be taken in."""
        return self.server.slot_wait_seconds

    @property
    def loading_calls(self) -> int:
        """Calls that may wait for a load at once, so that the others are always served."""
        return self.gpus.count * LOADING_CALLS

    @property
    def audio_encoder_model(self) -> str | None:
        """Triton model of the audio encoder; None where `raw_audio` is refused."""
        return self.audio_model if self.audio_encoder or self.uses_demo else None

    def called_networks(self) -> Iterator[tuple[str, str]]:
        """Yield the audio encoder, where there is one: the gateway calls it."""
        if self.audio_encoder_model:
            yield self.audio_encoder_model, ""

    @property
    def device_models(self) -> tuple[str, ...]:
        """Triton models by device."""
        return tuple(
            self.triton_model if device == 0 else f"{self.triton_model}_{device}"
            for device in range(self.gpus.count)
        )

    @property
    def uses_demo(self) -> bool:
        """Whether the demo's tenants (and audio encoder) stand in for real ones."""
        return not self.models and self.watch_folder is None and self.demo_tenants > 0

    def demo_folder(self, state: Path) -> Path:
        """Folder of the demo's tenants, served like `watch_folder`; `state` is `paths.state`."""
        return state / "lipsync" / "demo"

    def encoder_file(self, state: Path) -> Path | None:
        """ONNX file of the audio encoder: the configured one, the demo's, or none."""
        if self.audio_encoder or not self.uses_demo:
            return self.audio_encoder
        return state / "lipsync" / "audio_encoder.onnx"
