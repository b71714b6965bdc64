"""What a client's key is, wherever it is configured, and the file of clients' keys."""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from gateway.services.registry import NAMES
from gateway.settings.base import Section
from gateway.settings.yaml_file import parse_yaml

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
log = logging.getLogger(__name__)
LARGEST = 2**20  # bytes: some 10,000 keys
SHOWN = 5  # problems that a message names
_NAME = re.compile(r"[\w.-]{1,64}\Z")
_Stamp = tuple[int, ...]


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


_KEYS = TypeAdapter(list[ApiKey])


class KeysFileError(ValueError):
    """The file cannot be used; the message says why and quotes no key."""


class KeysFile:
    """`security.keys_file` and what is known of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: _Stamp | None = None  # of the contents read last, good or bad
        self._complaint = ""

    def load(self) -> list[ApiKey]:
        """Return the keys in it.

        Raises:
            KeysFileError: it cannot be read, or an entry is wrong.
        """
        self._seen = None
        raw, self._seen = _read(self._path)
        keys = _parse(raw)
        self._complaint = ""
        return keys

    def changed(self) -> list[ApiKey] | None:
        """Return the keys if they are others than before, None while the old ones stay in force.

        Why a file cannot be used is logged once. One that cannot even be read is tried at every
        call, as a permission or a mount comes back without a change of the file.
        """
        try:
            if self._seen is not None and _stamp(os.stat(self._path)) == self._seen:
                return None
            return self.load()
        except OSError as error:
            self._seen = None
            self._complain(error.strerror or "unreadable")
        except KeysFileError as error:
            self._complain(str(error))
        return None

    def _complain(self, words: str) -> None:
        if words != self._complaint:
            self._complaint = words
            log.error("keys file not reloaded, the old keys stay", extra={"reason": words})


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(path: Path) -> tuple[bytes, _Stamp]:
    try:
        # Not blocking: opening a pipe without a writer would stop the gateway.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise KeysFileError("it is no regular file")
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise KeysFileError(error.strerror or "it is unreadable") from None
    if len(raw) > LARGEST:
        raise KeysFileError(f"it has more than {LARGEST} bytes")
    return raw, _stamp(status)


def _parse(raw: bytes) -> list[ApiKey]:
    try:
        entries = parse_yaml(raw)
    except ValueError as error:
        raise KeysFileError(f"it {error}") from None
    if entries is None:  # an editor's first moment, too
        raise KeysFileError("it is empty; [] stands for no key")
    if not isinstance(entries, list):
        raise KeysFileError("it must hold a list of keys")
    try:
        return _KEYS.validate_python(entries)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        words = [_words(entries, item) for item in problems[:SHOWN]]
        if len(problems) > SHOWN:
            words.append(f"and {len(problems) - SHOWN} more")
        raise KeysFileError("; ".join(words)) from None


def _words(entries: list[object], problem: ErrorDetails) -> str:
    place, *fields = problem["loc"]
    entry = entries[int(place)]
    name = entry.get("name") if isinstance(entry, dict) else None
    called = f" ({name})" if isinstance(name, str) and _NAME.match(name) else ""
    return f"entry {int(place) + 1}{called}: {explain_key(fields, problem)}"
