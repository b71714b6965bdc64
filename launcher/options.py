"""What a tritonserver is started with, and the command line that says so."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.model_config import load
from gateway.settings.socket_file import SCHEME, socket_address, socket_file, split
from gateway.settings.triton import CLIENT_MEMORY_OPTION
from launcher.errors import LauncherError
from launcher.layout import Wheel
from launcher.plain_paths import plain

if TYPE_CHECKING:
    from gateway.settings import Settings
    from gateway.settings.triton import TritonSettings
PROBE_SECONDS = 10.0


@dataclass(frozen=True)
class Tls:
    """Certificates with which Triton and its clients prove who they are, all PEM files."""

    ca_file: Path
    certificate_file: Path
    key_file: Path
    server_name: str
    """Name in Triton's certificate."""


@dataclass(frozen=True)
class ServerOptions:
    """Everything that differs between two runs of tritonserver."""

    repository: Path
    """Model repository."""
    extra_repositories: tuple[Path, ...] = ()
    """Further model repositories."""
    host: str = "127.0.0.1"
    """Address of the ports."""
    socket: Path | None = None
    """Socket file of the gRPC service, NAME:PORT in a folder that nobody else can enter; used where
    there is no grpc_port."""
    grpc_port: int | None = None
    http_port: int | None = None
    """Port of the HTTP service; None: it is off."""
    metrics_port: int = 8002
    tls: Tls | None = None
    """What closes grpc_port to others."""
    profile: str = "default"
    """Name of the `configs/<profile>.pbtxt` that models use where they have it; "default" is
    `config.pbtxt`."""
    client_memory: bool = False
    """Whether clients may pass tensors through shared memory, where that has to be allowed."""
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
    arguments: tuple[str, ...] = ()
    """Further arguments. Never a secret: every user of the machine can read them."""

    @property
    def address(self) -> str:
        """Of the gRPC service, as its clients write it.

        Raises:
            LauncherError: There is neither a port nor a socket.
        """
        if self.grpc_port is not None:
            everywhere = self.host in ("0.0.0.0", "::")  # noqa: S104
            return f"{'127.0.0.1' if everywhere else self.host}:{self.grpc_port}"
        if self.socket is None:
            raise LauncherError("Triton needs a port or a socket file for gRPC")
        return f"{SCHEME}{self.socket}"


def command_line(
    options: ServerOptions,
    wheel: Wheel,
    backends: Path,
    shm_prefix: str,
    environment: Mapping[str, str],
) -> list[str]:
    """Return the tritonserver command line for `options`; it will run with `environment`."""
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
        *_doors(options),
        f"--metrics-address={options.host}",
        f"--metrics-port={options.metrics_port}",
        *client_memory(options.client_memory, wheel.server, environment),
        "--log-format=ISO8601",
        f"--log-verbose={options.log_verbose}",
        *(f"--backend-config=python,{key}={value}" for key, value in python.items()),
        *(f"--load-model={name}" for name in options.load_models),
    ]
    if complete_configs(repositories):
        command.append("--disable-auto-complete-config")
    if options.profile != "default":
        command.append(f"--model-config-name={options.profile}")
    if options.trace_url:
        command += [
            "--trace-config=mode=opentelemetry",
            f"--trace-config=rate={options.trace_rate}",
            "--trace-config=level=TIMESTAMPS",
            f"--trace-config=opentelemetry,url={options.trace_url}",
            "--trace-config=opentelemetry,resource=service.name=pentad-triton",
        ]
    return command + list(options.arguments)


def _doors(options: ServerOptions) -> Iterator[str]:
    """Where Triton listens, and who may come in. No key: arguments are everybody's to read."""
    if options.grpc_port is not None:
        address, port = options.host, options.grpc_port
    else:
        address, port = split(Path(options.address.removeprefix(SCHEME)))
    yield f"--grpc-address={address}"
    yield f"--grpc-port={port}"
    if options.tls is not None and options.grpc_port is not None:
        yield "--grpc-use-ssl-mutual=true"
        yield f"--grpc-server-cert={options.tls.certificate_file.resolve()}"
        yield f"--grpc-server-key={options.tls.key_file.resolve()}"
        yield f"--grpc-root-cert={options.tls.ca_file.resolve()}"
    yield f"--allow-http={str(options.http_port is not None).lower()}"
    if options.http_port is not None:
        yield f"--http-address={options.host}"
        yield f"--http-port={options.http_port}"


def options_from(settings: Settings, profile: str) -> ServerOptions:
    """Return what the configuration says of the server, with the chosen profile.

    Raises:
        LauncherError: `triton.url` names a socket file that Triton cannot listen at.
    """
    embedded, telemetry = settings.embedded, settings.telemetry
    endpoint = telemetry.otlp_endpoint
    socket = socket_file(settings.triton.urls[0])
    if socket is None:
        socket = socket_file(socket_address(settings.paths.state))
    if embedded.grpc_port is None:
        try:
            split(socket or Path())
        except ValueError as error:
            raise LauncherError(f"triton.url: {error}") from None
    return ServerOptions(
        repository=settings.paths.repository,
        host=embedded.host,
        socket=socket,
        grpc_port=embedded.grpc_port,
        http_port=embedded.http_port,
        metrics_port=embedded.metrics_port,
        tls=_tls(settings.triton),
        profile=profile,
        client_memory="lipsync" in settings.services and settings.lipsync.transport != "grpc",
        exit_timeout_seconds=embedded.exit_timeout_seconds,
        log_verbose=embedded.log_verbose,
        trace_url=f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None,
        trace_rate=max(1, round(1 / max(telemetry.trace_sample_ratio, 1e-6))),
    )


def _tls(triton: TritonSettings) -> Tls | None:
    ca, certificate, key = triton.tls_ca_file, triton.tls_certificate_file, triton.tls_key_file
    if ca is None or certificate is None or key is None:
        return None
    return Tls(ca, certificate, key, triton.tls_server_name)


def client_memory(wanted: bool, server: Path, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the argument that opens or closes client shared memory; none where there is no such.

    From release 26.04 (2.68) on client shared memory is off unless the server is started with this
    option; earlier ones always allow it, and end at an option that they do not know.

    Args:
        wanted: Whether clients are to use it.
        server: The tritonserver executable, which is asked for its options.
        environment: Where it finds its libraries.
    """
    return (f"{CLIENT_MEMORY_OPTION}={str(wanted).lower()}",) if _knows(server, environment) else ()


def _knows(server: Path, environment: Mapping[str, str]) -> bool:
    """Whether the server names the option in its usage; a server that cannot say has none."""
    try:
        usage = subprocess.run(
            [str(server), "--help"],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PROBE_SECONDS,
            check=False,  # it ends with 1 after its usage
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return CLIENT_MEMORY_OPTION.encode() in usage.stdout


def complete_configs(repositories: Iterable[Path]) -> bool:
    """Whether there are models in these repositories and none, in any profile, lacks anything.

    Triton then need not ask the models: for one on the Python backend it first starts a process of
    its own that completes the configuration, and waits about a second for its end (2.51: 1.2-1.5 s
    of each load), also where nothing is missing. It is told once, at its start, for all models that
    it will ever load.
    """
    files = [
        file
        for repository in repositories
        for folder in (repository.iterdir() if repository.is_dir() else ())
        if folder.is_dir()
        for file in (folder / "config.pbtxt", *(folder / "configs").glob("*.pbtxt"))
    ]
    return bool(files) and all(map(_complete, files))


def _complete(file: Path) -> bool:
    try:
        config = load(file, of_any_version=True)
    except (OSError, ValueError):
        return False
    described = (config.backend or config.platform) and config.input and config.output
    return bool(described) and all(
        tensor.name and tensor.data_type and tensor.dims
        for tensor in (*config.input, *config.output)
    )
