"""What other users of this machine, or of the network, can still reach; said at every start."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.private_files import open_to_others, private_paths
from launcher import leftovers

if TYPE_CHECKING:
    from gateway.settings import Settings

LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


def open_doors(settings: Settings, *, triton: bool) -> list[str]:
    """Return a sentence for each thing that is open and what would close it.

    Args:
        settings: The configuration.
        triton: Whether the embedded server is started.
    """
    sentences = list(_files(settings))
    sentences += _embedded(settings) if triton else _elsewhere(settings)
    return sentences


def metrics_door(settings: Settings) -> str:
    """Return a sentence for what the embedded server always shows; no setting closes it."""
    embedded = settings.embedded
    return (
        f"whoever reaches {embedded.host} can read Triton's metrics (counts, names of models and "
        f"tenants) at port {embedded.metrics_port}; Triton has no key for them"
    )


def _embedded(settings: Settings) -> Iterator[str]:
    embedded = settings.embedded
    loopback = embedded.host in LOOPBACK
    anyone = "every user of this machine" if loopback else f"whoever reaches {embedded.host}"
    if embedded.grpc_port is not None and not settings.triton.tls:
        yield (
            f"{anyone} can run code as this user through embedded.grpc_port {embedded.grpc_port}: "
            "remove it, or set triton.tls_ca_file, tls_certificate_file and tls_key_file"
        )
    if embedded.http_port is not None:
        yield (
            f"{anyone} can run code as this user through embedded.http_port {embedded.http_port}: "
            "remove it"
        )
    if not loopback:
        yield metrics_door(settings)
    endpoint = settings.telemetry.otlp_endpoint
    if endpoint and urlsplit(endpoint).password:
        yield (
            "telemetry.otlp_endpoint holds a password, which Triton's argument list shows to every "
            "user of this machine: use a collector that needs none"
        )


def _elsewhere(settings: Settings) -> Iterator[str]:
    for url in settings.triton.urls:
        host = url.removeprefix("dns:///").rpartition(":")[0]
        if not (settings.triton.tls or url.startswith("unix:") or host in LOOPBACK):
            yield (
                f"pictures and keys go to the Triton at {url} unencrypted, and whoever reaches it "
                "can run code there: set triton.tls_ca_file, or keep that network to yourself"
            )


def _files(settings: Settings) -> Iterator[str]:
    for path in private_paths(settings):
        if open_to_others(path) and path.stat().st_uid != os.geteuid():
            yield f"{path} is open to other users and not this user's to close"
    secret: dict[str, Path | None] = {
        "security.keys_file": settings.security.keys_file,
        "triton.admin_key_file": settings.triton.admin_key_file,
        "triton.tls_key_file": settings.triton.tls_key_file,
    }
    if settings.security.keys or settings.triton.admin_key:
        secret["the configuration, which holds keys,"] = settings.file
    for name, file in secret.items():
        if file is not None and _readable(file):
            yield f"{name} ({file}) can be read by other users: chmod 600 it"
    regions = [path for path in leftovers.SHM.glob("pentad-*") if open_to_others(path)]
    if regions:
        yield (
            f"{len(regions)} regions of {leftovers.SHM} are open to other users, such as "
            f"{regions[0].name}: a Triton of an older version made them; start it again"
        )


def _readable(file: Path) -> bool:
    """Whether other users can read a file; a mounted secret is often this user's group's."""
    try:
        status = file.stat()
    except OSError:
        return False
    ours = status.st_gid == os.getegid()
    return bool(status.st_mode & (0o004 if ours else 0o044))
