"""Channels to Triton: how long a message may be, when a connection is given up, who it is."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import grpc

from gateway.settings.triton import TritonSettings

CONNECT_MS = 3_000
"""Milliseconds that connecting may take: a lost SYN is sent again after one second."""


def credentials(settings: TritonSettings) -> grpc.ChannelCredentials | None:
    """Return what proves both sides, None where nothing does. The files are read once.

    Raises:
        ValueError: a certificate or key cannot be read.
    """
    ca, certificate, key = (
        settings.tls_ca_file,
        settings.tls_certificate_file,
        settings.tls_key_file,
    )
    if ca is None or certificate is None or key is None:
        return None
    return _credentials(ca, certificate, key)


@lru_cache  # channels to servers that join later need no file any more
def _credentials(ca: Path, certificate: Path, key: Path) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        _read("tls_ca_file", ca),
        _read("tls_key_file", key),
        _read("tls_certificate_file", certificate),
    )


def open_channel(settings: TritonSettings, address: str) -> grpc.aio.Channel:
    """Return a channel that connects by itself, again and again. Call it in the running loop.

    Raises:
        ValueError: a certificate or key cannot be read.
    """
    proof = credentials(settings)
    size = settings.max_message_bytes
    options: list[tuple[str, int | str]] = [
        ("grpc.max_send_message_length", size),
        ("grpc.max_receive_message_length", size),
        # A restarted Triton must be found again at once, not after gRPC's default 120 s.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 300),
        # Despite its name the time that connecting may take: four round trips with TLS.
        ("grpc.min_reconnect_backoff_ms", CONNECT_MS),
        # A Triton that vanished without closing the connection is noticed in 20 s.
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 5_000),
    ]
    if proof is None:
        return grpc.aio.insecure_channel(address, options=options)
    # Addresses come and go; the certificate is for the role.
    options.append(("grpc.ssl_target_name_override", settings.tls_server_name))
    return grpc.aio.secure_channel(address, proof, options=options)


def _read(setting: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ValueError(f"triton.{setting}: {error.strerror}") from None
