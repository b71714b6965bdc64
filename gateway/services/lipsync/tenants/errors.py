"""What can go wrong with a tenant; the words are those the old server's clients know."""

from __future__ import annotations

from gateway.errors import BusyError, GatewayError, NotFoundError


class UnknownTenantError(NotFoundError):
    """No such tenant is configured.

    Attributes:
        words: as the old server put them into `error`.
    """

    reason = "tenant_unknown"

    def __init__(self, tenant: str) -> None:
        self.words = f"Failed to load model '{tenant}': model '{tenant}' not configured"
        super().__init__(f"There is no tenant '{tenant}'")


class TenantLoadError(GatewayError):
    """A tenant cannot be loaded; the fault is its own, or there is no room for it.

    Attributes:
        words: as the old server put them into `error`.
        cause: the part that says why, for a person.
    """

    status, reason = 422, "tenant_load"

    def __init__(self, tenant: str, cause: str) -> None:
        self.cause = cause
        self.words = f"Failed to load model '{tenant}': {cause}"
        super().__init__(self.words)


class NotLoadedError(GatewayError):
    """The tenant is not resident on any device."""

    status, reason = 409, "tenant_not_loaded"

    def __init__(self, tenant: str) -> None:
        self.words = f"model '{tenant}' not loaded"
        super().__init__(self.words)


class DevicesBusyError(BusyError):
    """More work than the devices' slots and queues hold."""

    default_detail = "All devices are busy - retry later"
