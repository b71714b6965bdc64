"""The ports of one configuration: public ones must differ, the embedded Triton's give way."""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from gateway.services.registry import SERVICES
from gateway.settings.tree import Settings

ANYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not listened on
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Port(NamedTuple):
    """A port that the gateway listens on.

    Attributes:
        setting: key of the configuration that gives it.
        number: TCP port.
        http: whether it speaks HTTP; else gRPC, whose library opens its port itself.
    """

    setting: str
    number: int
    http: bool


def gateway_ports(settings: Settings) -> list[Port]:
    """Return the main port, then those of the enabled services."""
    ports = [Port("server.port", settings.server.port, True)]
    for service in settings.services:
        number = getattr(settings, service).port
        if number is not None:
            entry = SERVICES[service]
            ports.append(Port(entry.port_setting, number, not entry.grpc))
    return ports


def internal_ports(settings: Settings) -> dict[str, int]:
    """Return the ports of the embedded Triton, by the name of the setting; none without it."""
    if not settings.triton.start:
        return {}
    return {
        f"embedded.{name}": port
        for name, port in settings.embedded
        if name.endswith("_port") and isinstance(port, int)
    }


def with_ports_apart(settings: Settings) -> tuple[Settings, list[str]]:
    """Return the settings with no port named twice, and what was changed for it, in words.

    A port of the embedded Triton that a public one needs becomes the next one that nothing is
    configured for; `triton.url` and `triton.metrics_url` follow. Every process that reads the same
    configuration comes to the same ports.

    Raises:
        ValueError: two public ports are the same, or two of Triton's.
    """
    public = {port.setting: port.number for port in gateway_ports(settings)}
    internal = internal_ports(settings)
    _require_different(public)
    _require_different(internal)
    if not _same_machine_address(settings.server.host, settings.embedded.host):
        return settings, []
    owners = {port: name for name, port in public.items()}
    taken = {*public.values(), *internal.values()}
    moved: dict[str, int] = {}
    words = []
    for name, port in internal.items():
        if port in owners:
            moved[name] = _next(port, taken)
            taken.add(moved[name])
            words.append(f"{name} is {moved[name]}, as {owners[port]} is {port}")
    return (_moved(settings, internal, moved), words) if words else (settings, [])


def _require_different(ports: dict[str, int]) -> None:
    known: dict[int, str] = {}
    for name, port in ports.items():
        if port in known:
            raise ValueError(
                f"{known[port]} and {name} are both {port}: every port can be used once"
            )
        known[port] = name


def _same_machine_address(first: str, second: str) -> bool:
    """Whether two listeners with one port on these hosts would be in each other's way."""
    if first in ANYWHERE or second in ANYWHERE or first == second:
        return True
    return first in LOOPBACK and second in LOOPBACK


def _next(port: int, taken: Collection[int]) -> int:
    return next(n for n in chain(range(port + 1, 65_536), range(1024, port)) if n not in taken)


def _moved(settings: Settings, before: dict[str, int], moved: dict[str, int]) -> Settings:
    """Return the settings with some of Triton's ports changed, and its addresses with them."""
    ports = {name.removeprefix("embedded."): port for name, port in moved.items()}
    triton: dict[str, Any] = {}
    if "embedded.grpc_port" in moved and settings.triton.url:
        host, _, port = settings.triton.url.rpartition(":")
        if port == str(before["embedded.grpc_port"]):
            triton["url"] = f"{host}:{moved['embedded.grpc_port']}"
    if "embedded.metrics_port" in moved and settings.triton.metrics_url:
        parts = urlsplit(settings.triton.metrics_url)
        if parts.port == before["embedded.metrics_port"]:
            here = f"{parts.hostname}:{moved['embedded.metrics_port']}"
            triton["metrics_url"] = urlunsplit(parts._replace(netloc=here))
    return settings.model_copy(
        update={
            "embedded": settings.embedded.model_copy(update=ports),
            "triton": settings.triton.model_copy(update=triton),
        }
    )
