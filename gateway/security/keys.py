"""API keys: constant-time lookup, per-key services and rate limits, reload without restart."""

from __future__ import annotations

import hashlib
import hmac
import logging

import limits
import yaml
from pydantic import TypeAdapter, ValidationError

from gateway.errors import ForbiddenError, RateLimitedError, UnauthorizedError
from gateway.security.rate_limit import MovingWindows
from gateway.settings import Settings
from gateway.settings.server import ApiKey

log = logging.getLogger(__name__)
_KEYS = TypeAdapter(list[ApiKey])
LEGACY_TEXT_KEY = "text-api-key"
LEGACY_TRYON_KEY = "tryon-internal-auth-token"


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


class KeyRing:
    """The keys in force.

    A service is open while no key is configured anywhere, or when the operator lists it in
    ``security.open_services``.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.security
        self._fixed = list(settings.security.keys)
        legacy = settings.text.api_key
        if legacy and legacy.get_secret_value():
            self._fixed.append(ApiKey(name=LEGACY_TEXT_KEY, key=legacy, services=["text"]))
        token = settings.tryon.security.internal_auth_token
        if token.get_secret_value():
            self._fixed.append(ApiKey(name=LEGACY_TRYON_KEY, key=token, services=["tryon"]))
        self._windows = MovingWindows()
        self._keys: list[tuple[bytes, ApiKey]] = []
        self._mtime = 0.0
        self.reload(force=True)

    def reload(self, *, force: bool = False) -> None:
        """Read the keys file again if it changed; an unreadable one leaves the old keys in force.

        Raises:
            ValueError: the file is unreadable at start (``force``).
        """
        keys = list(self._fixed)
        if path := self._settings.keys_file:
            try:
                mtime = path.stat().st_mtime
                if mtime == self._mtime and not force:
                    return
                keys += _KEYS.validate_python(yaml.safe_load(path.read_text()) or [])
            except (OSError, yaml.YAMLError, ValidationError) as error:
                if force and not self._keys:
                    raise ValueError("security.keys_file is missing or malformed") from None
                log.error("keys file not reloaded", extra={"error_type": type(error).__name__})
                return
            if self._mtime:
                log.info("keys reloaded", extra={"keys": len(keys)})
            self._mtime = mtime
        elif not force:
            return
        self._keys = [(_digest(key.key.get_secret_value()), key) for key in keys]

    def authorize(self, service: str, presented: str | None) -> str | None:
        """Return the caller's key name, or None where the service is open.

        Raises:
            UnauthorizedError: no or unknown key.
            ForbiddenError: the key does not cover ``service``.
            RateLimitedError: the key's rate limit is used up; carries the seconds until it is not.
        """
        if service in self._settings.open_services or not (self._keys or self._mtime):
            return None
        key = self._find(presented or "")
        if key is None:
            raise UnauthorizedError
        if "*" not in key.services and service not in key.services:
            raise ForbiddenError
        if key.rate_limit:
            wait = self._windows.use(key.name, limits.parse(key.rate_limit))
            if wait is not None:
                raise RateLimitedError(retry_after=wait)
        return key.name

    def _find(self, presented: str) -> ApiKey | None:
        # Every key is compared, whichever matches: the time tells nothing.
        digest, found = _digest(presented), None
        for known, key in self._keys:
            if hmac.compare_digest(known, digest):
                found = key
        return found
