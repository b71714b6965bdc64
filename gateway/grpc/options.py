"""Settings of the gRPC transport."""

from __future__ import annotations

from gateway.settings.lipsync import LipsyncServerSettings

Option = tuple[str, int]


def server_options(settings: LipsyncServerSettings) -> list[Option]:
    """Return the channel arguments of the server (names: grpc/impl/channel_arg_names.h)."""
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
        # A port that another server has is an error, not a second server on it.
        ("grpc.so_reuseport", 0),
    ]
