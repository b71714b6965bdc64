"""The Triton server: where it is, and how the embedded one is started."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, SecretStr, field_validator, model_validator

from gateway.settings.base import Section

LOAD_TIMEOUTS = {"vlm": 1860.0}
"""Of models that take longer than others, in seconds."""
ELSEWHERE = "127.0.0.1:8001"
"""Where a Triton that somebody else runs is looked for when nothing is said."""

CLIENT_MEMORY_OPTION = "--allow-client-shm"
"""Of tritonserver from release 26.04 on: whether clients may use shared memory; else they may."""
LOCAL = ("127.", "localhost:", "[::1]:", "unix:")
"""Beginnings of an address on this machine."""


class TritonSettings(Section):
    """Connection to Triton, whoever runs it."""

    url: str | None = None
    """host:port of Triton's gRPC service, or `unix:/path` of its socket. Several servers: separated
    by commas, or `dns:///name:port` for all addresses of a name (Kubernetes' headless service).
    None: the embedded server, which answers at a socket in `paths.state` that no other user can
    open; with `start: false` 127.0.0.1:8001."""
    control: bool = True
    """Whether this gateway loads and unloads models. Of gateways on several machines that share
    their Tritons one does; the others only use what is loaded."""
    metrics_url: str | None = "http://127.0.0.1:8002/metrics"
    """Triton's Prometheus endpoint, the source of a remote Triton's GPU figures. Several servers:
    separated by commas, or a name with several addresses; the GPU page shows all their GPUs, other
    figures are those of the first that answers."""
    start: bool = True
    """Whether `make run` starts the embedded server; false for a Triton elsewhere."""
    tls_ca_file: Path | None = None
    """Certificates (PEM) that sign those of Triton and its clients: with them and the next two both
    sides prove who they are. A server that Pentad starts on a port takes the same files."""
    tls_certificate_file: Path | None = None
    """This side's certificate (PEM)."""
    tls_key_file: Path | None = None
    """Its private key (PEM), of mode 0600."""
    tls_server_name: str = "pentad-triton"
    """Name that Triton's certificate must be for, whatever its address."""
    admin_key: SecretStr | None = None
    """Key of the restricted APIs of a Triton that somebody else runs (`--grpc-restricted-protocol`,
    header `triton-admin-key`). Pentad starts none with a key: all users could read it."""
    admin_key_file: Path | None = None
    """File with that key, e.g. a mounted secret; `admin_key` wins."""
    max_message_bytes: int = Field(256 * 2**20, ge=2**20)
    """Largest gRPC message in bytes, in and out."""
    load_timeout_seconds: float = Field(300, gt=0)
    """How long loading one model may take before the log says so; Triton goes on, and the gateway
    says `loading` until it has ended."""
    load_timeouts: dict[str, PositiveFloat] = {}
    """The same for single models, by their names. `vlm` has 1860 unless it is given here: a minute
    more than vLLM itself gets (`start_seconds` in its config.pbtxt) to fetch and compile."""

    def load_timeout(self, model: str) -> float:
        """Return how many seconds loading a model may take."""
        usual = max(LOAD_TIMEOUTS.get(model, 0.0), self.load_timeout_seconds)
        return self.load_timeouts.get(model, usual)

    def read_admin_key(self) -> str:
        """Return the configured key, empty where there is none.

        Raises:
            OSError: the file cannot be read.
        """
        if self.admin_key:
            return self.admin_key.get_secret_value()
        return self.admin_key_file.read_text().strip() if self.admin_key_file else ""

    use_plans: bool = False
    """Whether models run from TensorRT plans (`python -m export plans`) as soon as the right one is
    in the model repository, which gateway and Triton must share; from ONNX until then. The embedded
    server needs the package `tensorrt` for it. One Triton only, as plans are a machine's own."""

    @field_validator("url")
    @classmethod
    def _addresses(cls, value: str | None) -> str | None:
        for url in value.split(",") if value is not None else ():
            _, _, port = url.strip().rpartition(":")
            if not url.strip().startswith("unix:") and not port.isdecimal():
                raise ValueError(f"{url.strip() or 'an empty entry'} is not host:port")
        return value

    @model_validator(mode="after")
    def _one_embedded_server(self) -> TritonSettings:
        if self.several and self.start:
            raise ValueError("url names several Tritons: set start: false")
        return self

    @property
    def urls(self) -> tuple[str, ...]:
        """The entries of ``url``."""
        return tuple(url.strip() for url in (self.url or ELSEWHERE).split(","))

    @property
    def metrics_urls(self) -> tuple[str, ...]:
        """The entries of ``metrics_url``; none where it is not set."""
        return tuple(url.strip() for url in (self.metrics_url or "").split(",") if url.strip())

    @property
    def several(self) -> bool:
        """Whether ``url`` may name more than one server."""
        return len(self.urls) > 1 or self.urls[0].startswith("dns:///")

    @property
    def elsewhere(self) -> bool:
        """Whether a server may be on another machine."""
        return not self.start and not all(url.startswith(LOCAL) for url in self.urls)

    @property
    def tls(self) -> bool:
        """Whether certificates prove both sides."""
        return self.tls_ca_file is not None

    @model_validator(mode="after")
    def _whole_tls(self) -> TritonSettings:
        files = (self.tls_ca_file, self.tls_certificate_file, self.tls_key_file)
        if any(files) and not all(files):
            raise ValueError("tls_ca_file, tls_certificate_file and tls_key_file go together")
        return self

    @model_validator(mode="after")
    def _plans_of_one_machine(self) -> TritonSettings:
        if self.use_plans and self.several:
            raise ValueError("use_plans needs one Triton per gateway: plans are a machine's own")
        return self


class EmbeddedSettings(Section):
    """The embedded server (`nvidia-pytriton`'s tritonserver), used when `triton.start` is true.

    A port of it that a public one needs becomes the next one that is not configured for anything.
    """

    host: str = "127.0.0.1"
    """Address of Triton's own ports; keep it on loopback, the gateway is the way in."""
    http_port: int | None = Field(None, ge=1, le=65535)
    """Triton's HTTP port; none: it is off. Whoever reaches it can run code as this user."""
    grpc_port: int | None = Field(None, ge=1, le=65535)
    """Triton's gRPC port; none: a socket that no other user can open (`triton.url`). Whoever
    reaches a port can run code as this user, unless `triton.tls_ca_file` closes it. Triton's ports
    give way to public ones: they become the next that are configured for nothing."""
    metrics_port: int = Field(8002, ge=1, le=65535)
    """Triton's Prometheus port."""
    profile: Literal["auto", "default", "openvino", "tensorrt"] = "auto"
    """Which `configs/<profile>.pbtxt` models use. `auto`: openvino where the CPU computes in
    bfloat16 and the exported model passed the cosine rule, else default."""
    calibrate: bool = True
    """Whether models measure, once on a machine, what sizes of calls suit their networks; else
    hand-set values hold. `/services` tells them."""
    log_verbose: int = Field(0, ge=0, le=5)
    """Triton's log verbosity."""
    exit_timeout_seconds: int = Field(8, ge=1)
    """How long Triton may finish running requests on shutdown. With `server.drain_seconds` it
    must stay within 30 s, the usual grace period of supervisors."""
    restart_backoff_seconds: tuple[float, float] = (0.5, 15.0)
    """Pause before a server that crashes again and again is restarted: after the second crash in a
    row, and the longest. After one crash it is restarted at once."""


class HealthSettings(Section):
    """Readiness: a service is ready when a canary inference through its models succeeds."""

    canary_interval_seconds: float = Field(5, gt=0)
    """Pause between two rounds of canaries."""
    canary_timeout_seconds: float = Field(10, gt=0)
    """A canary that takes longer counts as failed."""
    reload_attempts: int = Field(3, ge=0)
    """How often a failing model is reloaded before it is reported down."""
    recovery_wait_seconds: float = Field(20, ge=0)
    """How long a request waits, within its deadline, for a model that is being loaded or brought
    back after a crash, before it is answered 503; 0: not at all."""
    optional_services: list[str] = []
    """Services whose failure leaves `/readyz` at 200."""


class PathSettings(Section):
    """Folders, relative to the current one."""

    repository: Path = Path("model_repository")
    """Triton's model repository."""
    state: Path = Path("var")
    """What a run writes: backends, keys, sockets."""
    cache: Path = Path("var/cache")
    """Downloads of `make models`."""
    plans: Path = Path("var/plans")
    """TensorRT plans by key, and what was timed for them."""
    dashboard: Path = Path("dashboard/dist")
    """Build of the dashboard, served at `/`."""
    guide: Path = Path("var/guide")
    """Build of the documentation, served at `/docs/guide`."""
