"""What must hold before anything is started; every failure says what to change."""

from __future__ import annotations

import importlib.metadata
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from gateway.settings.ports import gateway_ports
from gateway.sockets import bind
from launcher import door
from launcher.errors import LauncherError
from launcher.gpu_state import gpu_state
from launcher.layout import find_wheel, libpython_folder
from launcher.options import options_from
from launcher.profile import choose_profile
from launcher.shm_budget import check_shm

if TYPE_CHECKING:
    from gateway.settings import Settings

Check = tuple[str, Callable[[], str]]


def check_numpy() -> str:
    """NumPy of Triton's environment, which is this one.

    Raises:
        LauncherError: NumPy 2 or none.
    """
    try:
        version = importlib.metadata.version("numpy")
    except importlib.metadata.PackageNotFoundError:
        raise LauncherError("numpy is not installed (`make env` installs it)") from None
    if int(version.split(".")[0]) >= 2:
        raise LauncherError(
            f"NumPy {version} is installed, but Triton's Python backend is built against NumPy 1 "
            "and corrupts tensors with it: install 'numpy<2'"
        )
    return f"NumPy {version}"


def check_libraries() -> str:
    """tritonserver, libpython, and a C library that is new enough for the wheel.

    Raises:
        LauncherError: One is missing or too old.
    """
    find_wheel()
    folder = libpython_folder()
    name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    tags = importlib.metadata.distribution("nvidia-pytriton").read_text("WHEEL") or ""
    wanted = re.search(r"manylinux_(\d+)_(\d+)_", tags)
    have = tuple(int(part) for part in version.split(".")[:2]) if name == "glibc" else (0, 0)
    if wanted and have < (int(wanted[1]), int(wanted[2])):
        raise LauncherError(
            f"tritonserver needs glibc {wanted[1]}.{wanted[2]} or newer (Ubuntu 22.04, Debian 12), "
            f"this system has {version or 'another C library'}: use the container instead"
        )
    return f"glibc {version}, libpython in {folder}"


def check_ports(ports: Mapping[str, tuple[str, int]]) -> str:
    """Return the ports that will be listened on.

    Args:
        ports: Host and port by the name of the setting that gives the port.

    Raises:
        LauncherError: One is taken.
    """
    for setting, (host, port) in ports.items():
        try:
            bind(host, port, backlog=1).close()
        except OSError as error:
            raise LauncherError(
                f"port {port} on {host} cannot be used ({os.strerror(error.errno or 0)}): stop "
                f"what listens there or change {setting}"
            ) from None
    return "ports " + ", ".join(str(port) for _, port in ports.values()) + " are free"


def check_address(settings: Settings) -> str:
    """Whether the gateway will look for Triton where it is started.

    Raises:
        LauncherError: It will not.
    """
    started = options_from(settings, "default").address
    if settings.triton.url != started and not _same_port(settings):
        raise LauncherError(
            f"triton.url is {settings.triton.url}, but the embedded server listens at {started}: "
            "leave triton.url out, make embedded.grpc_port its port, or set triton.start: false"
        )
    return f"the gateway reaches Triton at {settings.triton.url}"


def _same_port(settings: Settings) -> bool:
    port = settings.embedded.grpc_port
    return port is not None and settings.triton.urls[0].rpartition(":")[2] == str(port)


def check_socket(settings: Settings) -> str:
    """Whether Triton's socket file is free, where it listens at one.

    Raises:
        LauncherError: Another process listens at it.
    """
    options = options_from(settings, "default")
    if options.grpc_port is not None or options.socket is None:
        return f"not used, as embedded.grpc_port is {options.grpc_port}"
    if door.answered(options.socket):
        raise LauncherError(
            f"another Triton answers at {options.socket}: stop it, or change paths.state"
        )
    return f"{options.socket} is free"


def check_capacity(settings: Settings) -> str:
    """Whether models and tenants fit into this machine; see gateway/capacity.

    Raises:
        LauncherError: They do not.
    """
    from gateway.capacity.compute import size_up
    from gateway.capacity.machine import this_machine
    from gateway.placement import forced_devices

    try:
        capacity = size_up(settings, this_machine(), forced_devices(settings))
    except (OSError, ValueError) as error:
        return f"not worked out: {error}"
    if not capacity.fits:
        raise LauncherError("; ".join((*capacity.problems, "`python -m gateway plan` shows all")))
    rooms = [room for device in capacity.devices for room in device.tenants]
    tenants = ", ".join(f"{room.fit:,} tenants on {room.model}" for room in rooms)
    return "models fit" + (f", room for {tenants}" if tenants else "")


def all_checks(
    settings: Settings, *, gateway: bool = True, taken: Collection[int] = ()
) -> list[Check]:
    """Name and function of every check; a function returns what it found or raises.

    Args:
        settings: The configuration.
        gateway: Whether the gateway will be started; without it Triton always is.
        taken: Ports that are listened on already, for us.
    """
    triton = settings.triton.start or not gateway
    wanted = _ports(settings, triton=triton, gateway=gateway)
    ports = {name: (host, port) for name, (host, port) in wanted if port not in taken}
    checks: list[Check] = [("ports", lambda: check_ports(ports))]
    if triton:
        repository = settings.paths.repository

        def shm() -> str:
            return check_shm(repository, choose_profile(settings.embedded.profile, repository))

        if gateway:
            checks.append(("address", lambda: check_address(settings)))
        checks.append(("socket", lambda: check_socket(settings)))
        checks += [("numpy", check_numpy), ("libraries", check_libraries), ("shared memory", shm)]
        checks.append(("memory", lambda: check_capacity(settings)))
        checks.append(("GPU", gpu_state))
    return checks


def _ports(
    settings: Settings, *, triton: bool, gateway: bool
) -> Iterator[tuple[str, tuple[str, int]]]:
    if triton:
        embedded = settings.embedded
        if embedded.http_port is not None:
            yield "embedded.http_port", (embedded.host, embedded.http_port)
        if embedded.grpc_port is not None:
            yield "embedded.grpc_port", (embedded.host, embedded.grpc_port)
        yield "embedded.metrics_port", (embedded.host, embedded.metrics_port)
    if gateway:
        for port in gateway_ports(settings):
            yield port.setting, (settings.server.host, port.number)
