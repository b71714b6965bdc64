"""The ports of one installation, each with the setting that names it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gateway.settings import Settings

GRPC_SERVICES = ("lipsync",)
_IN_SERVER_SECTION = ("lipsync", "tryon")


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
    found = [Port("server.port", settings.server.port, True)]
    for service in settings.services:
        number = getattr(getattr(settings, service), "port", None)
        if number is not None:
            section = f"{service}.server" if service in _IN_SERVER_SECTION else service
            found.append(Port(f"{section}.port", number, service not in GRPC_SERVICES))
    return found
