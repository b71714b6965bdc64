"""Listeners, limits of a connection, and who may call."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from pydantic import Field, field_validator

from gateway.settings.base import Section
from gateway.settings.hosts import configured_name
from gateway.settings.keys import ApiKey, KeyService


class CorsSettings(Section):
    """Cross-origin access of browsers; off unless origins are named."""

    allow_origins: list[str] = []
    """Origins that may call, e.g. `https://demo.example`; `*` allows every one."""
    allow_methods: list[str] = ["GET", "POST", "DELETE"]
    """Methods a browser may use."""
    allow_headers: list[str] = ["*"]
    """Headers a browser may send; `*`: whichever its page asks for."""
    expose_headers: list[str] = ["Retry-After", "X-Request-Id"]
    """Response headers a browser's script may read."""
    max_age_seconds: int = Field(600, ge=0)
    """How long a browser may remember a preflight answer."""


class ConnectionSettings(Section):
    """Limits of every connection on the HTTP ports, checked before any key."""

    max_head_bytes: int = Field(64 * 2**10, ge=1024)
    """Largest request line and headers together, and largest framing of a chunked body (431)."""
    max_headers: int = Field(200, ge=10)
    """Most headers of a request (431 beyond)."""
    head_seconds: float = Field(10, gt=0)
    """Time for a request's headers to arrive (408), and for a new connection to send anything."""
    min_bytes_per_second: int = Field(256, ge=1)
    """Slowest pace, over `stall_seconds`, of a body (408) and of a client that reads an answer."""
    stall_seconds: float = Field(30, gt=0)
    """Time after which a body or the reading of an answer slower than that ends the connection."""
    linger_seconds: float = Field(30, gt=0)
    """How long the rest of a refused body is still read, so that the answer reaches its sender."""
    linger_bytes: int = Field(64 * 2**20, ge=0)
    """How many bytes of it are read at most."""
    max_per_port: int | None = Field(None, ge=1)
    """Open connections per port (503 beyond): 2048 by default, fewer if descriptors are few."""


class ServerSettings(Section):
    """The main listener and what holds for all listeners."""

    host: str = "127.0.0.1"
    """Address of all listeners. Anything but loopback needs a key (see `security`)."""
    allowed_hosts: list[str] = []
    """Further names that the `Host` of a request may have where no key is needed (421 else), beside
    `localhost`, `127.0.0.1`, `[::1]` and `host`; `*.lan`: all names below it, `*`: every one."""
    port: int = Field(9000, ge=1, le=65535)
    """Main port: every service under its prefix."""
    workers: int = Field(1, ge=1, le=64)
    """Gateway processes sharing the ports. Admission limits are divided among them."""
    drain_seconds: float = Field(20, ge=0)
    """How long running requests may take to finish after SIGTERM."""
    keep_alive_seconds: int = Field(65, ge=1)
    """Idle time of a connection; longer than the 60 s of common load balancers."""
    max_body_bytes: int = Field(64 * 2**20, ge=1024)
    """Largest request body in bytes where a service sets none (413 beyond)."""
    backlog: int = Field(2048, ge=1)
    """Connections the kernel may hold before they are accepted."""
    connections: ConnectionSettings = ConnectionSettings()
    cors: CorsSettings = CorsSettings()

    @field_validator("allowed_hosts")
    @classmethod
    def _names(cls, hosts: list[str]) -> list[str]:
        for host in hosts:
            if host != "*" and configured_name(host.removeprefix("*.")) is None:
                raise ValueError(f"{host!r} is no name as in a Host header")
        return hosts

    @property
    def loopback_only(self) -> bool:
        """Whether no other machine can reach the listeners."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


class SecuritySettings(Section):
    """Authentication. Without any key everything on loopback is open."""

    allow_unauthenticated: bool = False
    """Permit listening beyond loopback although no key is configured."""
    keys: list[ApiKey] = []
    """Keys fixed in the configuration."""
    keys_file: Path | None = None
    """YAML list of further keys, read again when it changes or on SIGHUP."""
    open_services: list[KeyService] = []
    """Services that need no key although keys are configured."""
    open_paths: list[str] = ["/healthz", "/readyz", "/docs", "/openapi.json"]
    """Paths of the main port that never need a key, beside the dashboard's own files."""
