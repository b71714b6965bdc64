"""The file of clients' keys: read whole or not at all, and again when it changes."""

from __future__ import annotations

import logging
import os
import re
import stat
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from gateway.settings.keys import ApiKey, explain_key
from gateway.settings.yaml_file import parse_yaml

log = logging.getLogger(__name__)
LARGEST = 2**20  # bytes: some 10,000 keys
SHOWN = 5  # problems that a message names
_KEYS = TypeAdapter(list[ApiKey])
_NAME = re.compile(r"[\w.-]{1,64}\Z")
_Stamp = tuple[int, ...]


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
