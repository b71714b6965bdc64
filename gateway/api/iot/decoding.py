"""Base64 fields: strict about the alphabet, lenient about what clients really send around it."""

from __future__ import annotations

import binascii

import pybase64

from gateway.errors import BadRequestError, BodyTooLargeError

_BLANKS = {ord(blank): None for blank in " \t\r\n"}


def decode_base64(text: str, what: str, limit: int) -> bytes:
    """Return the bytes of a base64 field.

    A `data:…;base64,` prefix and line breaks are skipped, missing padding is completed.

    Args:
        text: the field.
        what: the beginning of an error's detail, e.g. ``Invalid image data: image 2 (left)``.
        limit: most bytes.

    Raises:
        BadRequestError: not base64, or empty.
        BodyTooLargeError: over the limit.
    """
    if text.startswith("data:"):
        text = text.partition(",")[2]
    if len(text) * 3 // 4 > limit + 3:
        raise BodyTooLargeError(f"{what} is too large: the limit is {limit} bytes")
    try:
        raw = pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = _once_more(text, what)
    if not raw:
        raise BadRequestError(f"{what} is empty")
    return raw


def _once_more(text: str, what: str) -> bytes:
    text = text.translate(_BLANKS)
    try:
        return pybase64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise BadRequestError(f"{what} is not valid base64") from None
