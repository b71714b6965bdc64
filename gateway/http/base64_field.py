"""Base64 fields: strict about the alphabet, lenient about what clients really send around it."""

from __future__ import annotations

import binascii
import re

import pybase64

from gateway.errors import BadRequestError, BodyTooLargeError
from gateway.large_work import rest

_STANDARD = bytes.maketrans(b"-_", b"+/")  # from the URL-safe alphabet
_GROUP = 4  # characters; lines of base64 are whole groups of these
_BLANKS = " \t\r\n"
_WITHIN_A_LINE = re.compile(rb"[^ \t\r\n] +[^ \t\r\n]")
_ENOUGH = 2**16  # characters that show where a client puts blanks


def decode_base64(text: str, label: str, limit: int) -> bytes:
    """Return the bytes of a base64 field.

    A `data:…;base64,` prefix and line breaks are skipped, missing padding is completed, and the
    URL-safe alphabet is read as well as the standard one.

    Args:
        text: the field.
        label: the beginning of an error's detail, e.g. ``Invalid image data: image 2 (left)``.
        limit: most bytes.

    Raises:
        BadRequestError: not base64, or empty.
        BodyTooLargeError: over the limit.
    """
    if text[:1].isspace():
        text = text.lstrip()
    if text[:5].lower() == "data:":
        _, comma, text = text.partition(",")
        if not comma:
            raise BadRequestError(f"{label} is not valid base64")
    if _size(text, limit) > limit + 3:
        raise BodyTooLargeError(f"{label} is too large: the limit is {limit} bytes")
    rest()  # from the picture before, or from counting
    try:
        raw = pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = _once_more(text, label)
    if not raw:
        raise BadRequestError(f"{label} is empty")
    return raw


def _size(text: str, limit: int) -> int:
    """Return how many bytes a text may stand for; blanks are looked for only if that matters."""
    length = len(text)
    if length * 3 // 4 > limit + 3:
        length -= sum(text.count(blank) for blank in _BLANKS)
    return length * 3 // 4


def _once_more(text: str, label: str) -> bytes:
    try:
        written = text.encode("ascii").strip()
        rest()
        if _has_lost_plus(written):
            raise BadRequestError(
                f"{label} is not valid base64: it has blanks where a + was; "
                "in a form or a URL a + must be sent as %2B"
            )
        packed = written.translate(_STANDARD, _BLANKS.encode())
        rest()
        return pybase64.b64decode(packed + b"=" * (-len(packed) % _GROUP), validate=True)
    except (binascii.Error, ValueError):
        raise BadRequestError(f"{label} is not valid base64") from None


def _has_lost_plus(written: bytes) -> bool:
    """Whether blanks stand where form decoding put them, rather than between or around lines."""
    first = written.find(b" ")
    if first < 0:
        return False
    if b"\n" in written or b"\r" in written:
        near = written[max(0, first - 1) : first + _ENOUGH]
        return _WITHIN_A_LINE.search(near) is not None
    if first % _GROUP:
        return True
    # Lines joined by blanks have them at even distances.
    joints = written[first :: first + 1]
    return not joints.count(b" ") == len(joints) == written.count(b" ")
