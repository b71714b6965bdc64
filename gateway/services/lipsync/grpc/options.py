"""Settings of the gRPC transport."""

from __future__ import annotations

from gateway.settings.lipsync import LipsyncServerSettings

Option = tuple[str, int]
METADATA_BYTES = 16 * 2**10
"""Metadata of a client; beyond it the call ends with RESOURCE_EXHAUSTED."""
_OWN_METADATA_BYTES = 2 * 2**10  # what gRPC adds: path, user agent, encodings
_STREAMS = 256  # calls of one connection at once; clients keep further ones back
_AGE_SECONDS = 3600  # of a connection, which its client then makes anew
_IDLE_SECONDS = 600  # without a call


def server_options(
    settings: LipsyncServerSettings, connections: int, head_seconds: float, *, held: bool = False
) -> list[Option]:
    """Return the channel arguments of the server (names: grpc/impl/channel_arg_names.h).

    Args:
        settings: of the listener.
        connections: open at once; further ones are closed as soon as they are accepted.
        head_seconds: for a connection to say that it speaks HTTP/2; until then it counts, too.
        held: whether the launcher holds the port, which is shared with it then.
    """
    limit = settings.max_message_size_mb << 20
    return [
        ("grpc.max_receive_message_length", limit),
        ("grpc.max_send_message_length", limit),
        ("grpc.keepalive_time_ms", round(settings.keepalive_seconds * 1000)),
        ("grpc.keepalive_timeout_ms", round(settings.keepalive_timeout_seconds * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        (
            "grpc.http2.min_ping_interval_without_data_ms",
            round(settings.min_ping_interval_seconds * 1000),
        ),
        # By default gRPC refuses what is over 8 KiB at random, and what is over 16 KiB always.
        ("grpc.max_metadata_size", METADATA_BYTES + _OWN_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", METADATA_BYTES + _OWN_METADATA_BYTES),
        ("grpc.max_concurrent_streams", _STREAMS),
        ("grpc.max_allowed_incoming_connections", connections),
        ("grpc.server_handshake_timeout_ms", round(head_seconds * 1000)),
        ("grpc.max_connection_idle_ms", _IDLE_SECONDS * 1000),
        ("grpc.max_connection_age_ms", _AGE_SECONDS * 1000),
        # Streams that nobody ends, such as those of reflection, end with their connection.
        ("grpc.max_connection_age_grace_ms", round(settings.deadline_seconds * 1000)),
        # A port that another server has is an error, not a second server on it.
        ("grpc.so_reuseport", int(held)),
    ]
