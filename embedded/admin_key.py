"""The key of Triton's restricted model-repository API: new at every start, never logged."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def new_admin_key(state: Path) -> str:
    """Makes a random key and keeps it where a gateway started on its own finds it.

    Args:
        state: Folder of run-time files; the key goes to `triton/admin.key`, mode 0600.
    """
    key = secrets.token_urlsafe(32)
    path = state / "triton" / "admin.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key + "\n")
    os.replace(temporary, path)
    return key
