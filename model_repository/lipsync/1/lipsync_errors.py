"""Why the model `lipsync` refuses a request. Every message begins with a documented code."""

from __future__ import annotations


class RefusedError(Exception):
    """The request cannot be carried out as it is.

    Attributes:
        code: One of the codes documented in config.pbtxt, such as "frames_invalid".
    """

    def __init__(self, code: str, reason: str) -> None:
        """`reason` is for the operator; it holds no path and no client's data."""
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class TenantNotLoadedError(RefusedError):
    """Nobody has loaded the tenant, or it is leaving."""

    def __init__(self) -> None:
        super().__init__("tenant_not_loaded", "load the tenant first")


class UnsuitableTenantError(RefusedError):
    """A valid tenant that this engine does not run: its graph, or its weights in half precision."""

    def __init__(self, reason: str) -> None:
        super().__init__("tenant_unsuitable", reason)


class TenantMemoryError(RefusedError):
    """The device has no memory left for the tenant."""

    def __init__(self) -> None:
        super().__init__("tenant_out_of_memory", "no memory for this tenant")


class NotFiniteError(Exception):
    """What a tenant computed for a frame is no picture: its numbers left half precision's range."""


class CancelledError(Exception):
    """The client has gone."""


class DeadlineError(Exception):
    """The request's time is over."""


class QueueFullError(Exception):
    """As many requests as allowed are waiting."""
