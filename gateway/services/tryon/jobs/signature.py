"""Signatures of callbacks by the Standard Webhooks specification (version 1, symmetric).

The signed content is `{id}.{timestamp}.{body}` over the raw bytes of the body, so that a multipart
body with a picture can be signed as well.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

PREFIX = "whsec_"
SECRET_BYTES = 32


def sign(event_id: str, timestamp: int, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """Return the headers of a callback.

    Args:
        event_id: the same for every attempt.
        timestamp: seconds since the epoch of this attempt.
        body: as it is sent.
        keys: one signature each; a receiver accepts any of them.
    """
    content = f"{event_id}.{timestamp}.".encode() + body
    signatures = [hmac.new(key, content, hashlib.sha256).digest() for key in keys]
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(
            f"v1,{base64.b64encode(signature).decode()}" for signature in signatures
        ),
    }


def key_of(secret: str) -> bytes:
    """Return the key that a secret (`whsec_` and base64) stands for.

    Raises:
        ValueError: not base64, or empty.
    """
    text = secret.strip().removeprefix(PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise ValueError("a webhook secret must be `whsec_` and base64") from None
    if not key:
        raise ValueError("a webhook secret is empty")
    return key


def own_secret(file: Path) -> str:
    """Return the secret in a file that only its owner can read, made at the first call.

    Raises:
        OSError: the file can be neither read nor written.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    part = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with open(descriptor, "w", encoding="ascii") as opened:
        opened.write(secret + "\n")
    try:
        with contextlib.suppress(FileExistsError):  # of two gateways one wins
            os.link(part, file)
    finally:
        part.unlink()
    return file.read_text(encoding="ascii").strip()
