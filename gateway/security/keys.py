"""API keys: constant-time lookup, per-key services and rate limits, reload without restart."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, get_args

from gateway.errors import ForbiddenError, RateLimitedError, UnauthorizedError
from gateway.security.rate_limit import MovingWindows
from gateway.settings import Settings
from gateway.settings.doors import doors, twins
from gateway.settings.keys import ApiKey, KeyService, KeysFile, KeysFileError, rates

if TYPE_CHECKING:  # it is imported where a limit is configured
    from limits import RateLimitItem

log = logging.getLogger(__name__)
KEY_HEADER = "x-api-key"
BEARER = "bearer "


class _Known(NamedTuple):
    """A key in force."""

    digest: bytes
    key: ApiKey
    limits: Sequence[RateLimitItem]


class KeyRing:
    """The keys in force.

    Which services are open is settled at the start: a keys file that becomes empty opens nothing.

    Raises:
        ValueError: the keys file cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._open = {name for name in get_args(KeyService) if not settings.needs_key(name)}
        self._fixed = [*settings.security.keys, *settings.old_keys]
        path = settings.security.keys_file
        self._file = KeysFile(path) if path else None
        self._windows = MovingWindows()
        try:
            in_file = self._file.load() if self._file else []
        except KeysFileError as error:
            raise ValueError(f"security.keys_file: {error}") from None
        self._take([*self._fixed, *in_file])
        log.info("who may call", extra={"services": doors(settings, [k.key for k in self._keys])})

    def reload(self) -> None:
        """Read the keys file again if it changed; an unusable one leaves the old keys in force."""
        if self._file and (changed := self._file.changed()) is not None:
            self._take([*self._fixed, *changed])
            log.info("keys reloaded", extra={"keys": len(self._keys)})

    def is_open(self, service: str) -> bool:
        """Whether a service needs no key."""
        return service in self._open

    def authorize(self, service: str, *presented: str, count: bool = True) -> str | None:
        """Return the caller's key name, or None where the service is open.

        Args:
            service: what is called, by its name in keys.
            presented: what the caller sent; one valid key is enough.
            count: whether the call counts against the key's rate limit.

        Raises:
            UnauthorizedError: no or unknown key.
            ForbiddenError: the key does not cover ``service``.
            RateLimitedError: the key's rate limit is used up; carries the seconds until it is not.
        """
        if service in self._open:
            return None
        matches = self._find(presented)
        if not matches:
            raise UnauthorizedError
        fitting = next((known for known in matches if known.key.opens(service)), None)
        if fitting is None:
            raise ForbiddenError
        if count:
            self._count(fitting)
        return fitting.key.name

    def _take(self, keys: Sequence[ApiKey]) -> None:
        for sentence in twins(keys):
            log.warning("keys may be confused", extra={"reason": sentence})
        self._keys = [
            _Known(
                _digest(key.key.get_secret_value()),
                key,
                rates(key.rate_limit) if key.rate_limit else (),
            )
            for key in keys
        ]

    def _find(self, presented: Sequence[str]) -> list[_Known]:
        # Every key is compared, whichever matches: the time tells nothing.
        matches = []
        for key in filter(None, presented):
            digest = _digest(key)
            matches += [known for known in self._keys if hmac.compare_digest(known.digest, digest)]
        return matches

    def _count(self, known: _Known) -> None:
        for limit in known.limits:
            wait = self._windows.use(f"{known.key.name} {limit}", limit)
            if wait is not None:
                raise RateLimitedError(retry_after=wait)


def presented_keys(get: Callable[[str], str | None], documented: str = KEY_HEADER) -> list[str]:
    """Return what a caller presents as a key, the documented header's first.

    Args:
        get: returns the value of a header, or of gRPC metadata, by its name in lower case.
        documented: the service's own header; `X-API-Key` and `Authorization: Bearer` go everywhere.
    """
    headers = [get(name) for name in dict.fromkeys((documented, KEY_HEADER))]
    authorization = get("authorization") or ""
    if authorization.lower().startswith(BEARER):
        headers.append(authorization[len(BEARER) :].strip())
    return [key for key in headers if key]


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
