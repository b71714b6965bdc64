"""Who may call each service: for the table at the start and the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gateway.settings.keys import CONTROL, OPERATIONS, ApiKey, KeysFile
from gateway.settings.tree import Settings

SHOWN = 5  # keys named for a service


def configured_keys(settings: Settings) -> list[ApiKey]:
    """Return the keys of all sources as they are now.

    Raises:
        KeysFileError: `security.keys_file` cannot be used.
    """
    file = settings.security.keys_file
    in_file = KeysFile(file).load() if file else []
    return [*settings.security.keys, *settings.old_keys, *in_file]


def doors(settings: Settings, keys: Sequence[ApiKey]) -> dict[str, str]:
    """Return in words who may call, by service and for the operations routes."""
    names = [*settings.services, OPERATIONS]
    if settings.lipsync.separate_control_key:
        names.append(CONTROL)
    doors = {name: _door(settings, name, keys) for name in names}
    exceptions = _open_parts(settings)
    if exceptions and "tryon" in doors and settings.needs_key("tryon"):
        doors["tryon"] += f"; open: {', '.join(exceptions)}"
    return doors


def twins(keys: Sequence[ApiKey]) -> list[str]:
    """Return a sentence for each name, and each secret, that several keys have.

    Both are allowed, while a key is being replaced and for one secret of several services; a name's
    keys share its rate limit.
    """
    names = Counter(key.name for key in keys)
    sentences = [f"{count} keys are named {name}" for name, count in names.items() if count > 1]
    by_secret: dict[str, list[str]] = {}
    for key in keys:
        by_secret.setdefault(key.key.get_secret_value(), []).append(key.name)
    same = [", ".join(owners) for owners in by_secret.values() if len(owners) > 1]
    return sentences + [f"these keys are the same: {owners}" for owners in same]


def _door(settings: Settings, service: str, keys: Sequence[ApiKey]) -> str:
    if not settings.needs_key(service):
        return "open"
    names = list(dict.fromkeys(key.name for key in keys if key.opens(service)))
    if not names:
        return "closed: no key names it"
    more = len(names) - SHOWN
    shown = ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
    return f"key: {shown}"


def _open_parts(settings: Settings) -> list[str]:
    parts = [] if settings.infer_needs_key else ["/infer"]
    return parts if settings.tryon.security.require_auth else [*parts, "/tryon", "/gpu/status"]
