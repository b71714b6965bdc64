"""What a tritonserver is started with, and the command line that says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from embedded.layout import Wheel
from embedded.plain_paths import plain

if TYPE_CHECKING:
    from gateway.settings import Settings

ADMIN_HEADER = "triton-admin-key"
"""Header of the restricted model-repository API. Over gRPC Triton expects the metadata key
`triton-grpc-protocol-triton-admin-key` (docs/customization_guide/inference_protocols.md)."""


@dataclass(frozen=True)
class ServerOptions:
    """Everything that differs between two runs of tritonserver."""

    repository: Path
    """Model repository."""
    extra_repositories: tuple[Path, ...] = ()
    """Further model repositories."""
    host: str = "127.0.0.1"
    http_port: int = 8000
    grpc_port: int = 8001
    metrics_port: int = 8002
    profile: str = "default"
    """Name of the `configs/<profile>.pbtxt` that models use where they have it; "default" is
    `config.pbtxt`."""
    admin_key: str | None = None
    """Value that loading and unloading models requires in the header ADMIN_HEADER. Triton takes
    it only as an argument: other users of the machine can see it, other machines cannot."""
    exit_timeout_seconds: int = 8
    """How long running requests may take to finish on shutdown."""
    log_verbose: int = 0
    load_models: tuple[str, ...] = ()
    """Models to load at start; the gateway loads its own."""
    trace_url: str | None = None
    """OTLP/HTTP endpoint for OpenTelemetry spans, such as `http://127.0.0.1:4318/v1/traces`."""
    trace_rate: int = 1
    """One of this many requests is traced."""
    backend_config: dict[str, str] = field(default_factory=dict)
    """Further `--backend-config` settings of the Python backend."""


def command_line(
    options: ServerOptions, wheel: Wheel, backends: Path, shm_prefix: str
) -> list[str]:
    """The tritonserver command line for `options`."""
    python = {"shm-region-prefix-name": shm_prefix, **options.backend_config}
    repositories = (options.repository, *options.extra_repositories)
    command = [
        str(wheel.server),
        *(f"--model-repository={plain(path)}" for path in repositories),
        f"--backend-directory={plain(backends)}",
        f"--cache-directory={wheel.caches}",
        "--model-control-mode=explicit",
        "--strict-readiness=false",
        "--exit-on-error=false",
        f"--exit-timeout-secs={options.exit_timeout_seconds}",
        f"--http-address={options.host}",
        f"--http-port={options.http_port}",
        f"--grpc-address={options.host}",
        f"--grpc-port={options.grpc_port}",
        f"--metrics-address={options.host}",
        f"--metrics-port={options.metrics_port}",
        "--log-format=ISO8601",
        f"--log-verbose={options.log_verbose}",
        *(f"--backend-config=python,{key}={value}" for key, value in python.items()),
        *(f"--load-model={name}" for name in options.load_models),
    ]
    if options.profile != "default":
        command.append(f"--model-config-name={options.profile}")
    if options.admin_key:
        restriction = f"model-repository:{ADMIN_HEADER}={options.admin_key}"
        command += [f"--grpc-restricted-protocol={restriction}"]
        command += [f"--http-restricted-api={restriction}"]
    if options.trace_url:
        command += [
            "--trace-config=mode=opentelemetry",
            f"--trace-config=rate={options.trace_rate}",
            "--trace-config=level=TIMESTAMPS",
            f"--trace-config=opentelemetry,url={options.trace_url}",
            "--trace-config=opentelemetry,resource=service.name=pentad-triton",
        ]
    return command


def options_from(settings: Settings, profile: str, admin_key: str | None) -> ServerOptions:
    """What the configuration says of the server, with the chosen profile and key."""
    embedded, telemetry = settings.embedded, settings.telemetry
    endpoint = telemetry.otlp_endpoint
    return ServerOptions(
        repository=settings.paths.repository,
        host=embedded.host,
        http_port=embedded.http_port,
        grpc_port=embedded.grpc_port,
        metrics_port=embedded.metrics_port,
        profile=profile,
        admin_key=admin_key,
        exit_timeout_seconds=embedded.exit_timeout_seconds,
        log_verbose=embedded.log_verbose,
        trace_url=f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None,
        trace_rate=max(1, round(1 / max(telemetry.trace_sample_ratio, 1e-6))),
    )
