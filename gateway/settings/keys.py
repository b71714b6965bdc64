"""What a client's key is, wherever it is configured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_core import ErrorDetails

from gateway.services.registry import NAMES
from gateway.settings.base import Section

SHORTEST = 8  # characters
OPERATIONS = "metrics"
"""What keys call the gateway's own routes, `/metrics` and `/services`."""
CONTROL = "lipsync-control"
"""What keys call loading and unloading, where `lipsync.separate_control_key` is set."""
if TYPE_CHECKING:
    import limits

    KeyService = str
    AnyService = str
else:
    KeyService = Literal[tuple(sorted([*NAMES, CONTROL, OPERATIONS]))]
    AnyService = Literal[KeyService, "*"]


def _long_enough(key: SecretStr) -> SecretStr:
    """Return the key without blanks at its ends, which no header could carry."""
    secret = key.get_secret_value().strip()
    if len(secret) < SHORTEST:
        which = "" if secret else "; this one is empty"
        raise ValueError(f"a key has at least {SHORTEST} characters{which}")
    return SecretStr(secret)


def _unset_or_long_enough(key: SecretStr) -> SecretStr:
    return _long_enough(key) if key.get_secret_value() else key


def rates(text: str) -> list[limits.RateLimitItem]:
    """Return the limits that a `rate_limit` names, all of which hold.

    Raises:
        ValueError: it names none, or one of no request at all.
    """
    # Imported late: its package takes as long as half of the settings, and mostly there is no rate.
    import limits

    try:
        rates = limits.parse_many(text)
    except ValueError:
        rates = []
    if not rates or any(item.amount < 1 for item in rates):
        raise ValueError("is no rate limit such as 100/minute")
    return rates


def _rate_limit(text: str) -> str:
    rates(text)
    return text


ClientKey = Annotated[SecretStr, AfterValidator(_long_enough)]
"""A key."""
OptionalClientKey = Annotated[SecretStr, AfterValidator(_unset_or_long_enough)]
"""A key of an old server, in whose file an empty one stands for none."""


class ApiKey(Section):
    """One client's key."""

    name: str = Field(min_length=1, pattern=r"^[\w.-]+$")
    """Shown in logs and metrics instead of the key."""
    key: ClientKey
    """The secret itself; at least 8 characters."""
    services: list[AnyService] = ["*"]
    """Services it may call, `*` for all. `metrics` names the operations routes."""
    rate_limit: Annotated[str, AfterValidator(_rate_limit)] | None = None
    """Requests per time, e.g. `100/minute` (429 beyond); none by default."""

    def opens(self, service: str) -> bool:
        """Whether it is a key of the service."""
        return "*" in self.services or service in self.services


def explain_key(fields: Sequence[int | str], problem: ErrorDetails) -> str:
    """Return what is wrong with an entry, without anything that may be a part of its key.

    Args:
        fields: where in the entry.
        problem: as pydantic reports it, its input left out.
    """
    if problem["type"] == "extra_forbidden":  # `key:secret` without a blank is such a name
        return f"it has something beside {', '.join(ApiKey.model_fields)}"
    words = problem["msg"].removeprefix("Value error, ")
    where = ".".join(str(field) for field in fields)
    return f"{where}: {words}" if where else words
