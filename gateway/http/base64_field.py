"""Base64 fields: strict about the alphabet, lenient about what clients really send around it."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain

import pybase64

from gateway.errors import BadRequestError, BodyTooLargeError
from gateway.http.long_text import Base64Text, LongText
from gateway.large_work import rest

_STANDARD = bytes.maketrans(b"-_", b"+/")  # from the URL-safe alphabet
_GROUP = 4  # characters; lines of base64 are whole groups of these
_BLANKS = " \t\r\n"
_WITHIN_A_LINE = re.compile(rb"[^ \t\r\n] +[^ \t\r\n]")
_ENOUGH = 2**16  # characters that show where a client puts blanks
_PREFIX = "data:"


def decode_base64(text: Base64Text, label: str, limit: int) -> bytes:
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
    parts = _without_prefix(text.parts if isinstance(text, LongText) else [text], label)
    if _size(parts, limit) > limit + 3:
        raise BodyTooLargeError(f"{label} is too large: the limit is {limit} bytes")
    try:
        raw = _decoded(parts)
    except (binascii.Error, ValueError):
        raw = _once_more(parts, label)
    if not raw:
        raise BadRequestError(f"{label} is empty")
    return raw


def _without_prefix(parts: Sequence[str], label: str) -> list[str]:
    """Return the text without blanks before it and what a data URL has there."""
    left = [part for part in parts if part] or [""]
    if left[0][:1].isspace():
        while len(left) > 1 and left[0].isspace():
            del left[0]
        left[0] = left[0].lstrip()
    while len(left) > 1 and len(left[0]) < len(_PREFIX):
        left[:2] = [left[0] + left[1]]
    if left[0][: len(_PREFIX)].lower() == _PREFIX:
        while len(left) > 1 and "," not in left[0]:
            del left[0]
        _, comma, left[0] = left[0].partition(",")
        if not comma:
            raise BadRequestError(f"{label} is not valid base64")
    return left


def _size(parts: Sequence[str], limit: int) -> int:
    """Return how many bytes a text may stand for; blanks are looked for only if that matters."""
    length = sum(map(len, parts))
    if length * 3 // 4 > limit + 3:
        for part in parts:
            length -= sum(part.count(blank) for blank in _BLANKS)
            rest()
    return length * 3 // 4


def _decoded(parts: Iterable[str | bytes]) -> bytes:
    """Return what whole groups stand for.

    Raises:
        ValueError: anything else is in the text, or behind its padding.
    """
    decoded: list[bytes] = []
    before: str | bytes = ""
    ended = False
    for part in parts:
        text: str | bytes = before + part if before else part  # type: ignore[operator]
        if not text:
            continue
        if ended:
            raise binascii.Error("more behind the padding")
        end = len(text) // _GROUP * _GROUP
        now, before = text[:end], text[end:]
        decoded.append(pybase64.b64decode(now, validate=True))
        ended = now[-1:] in ("=", b"=")
        rest()
    if before:
        raise binascii.Error("no whole group")
    return b"".join(decoded)


def _once_more(parts: Sequence[str], label: str) -> bytes:
    try:
        written = _stripped([part.encode("ascii") for part in parts])
        if _has_lost_plus(written):
            raise BadRequestError(
                f"{label} is not valid base64: it has blanks where a + was; "
                "in a form or a URL a + must be sent as %2B"
            )
        packed = []
        for part in written:
            packed.append(part.translate(_STANDARD, _BLANKS.encode()))
            rest()
        padding = b"=" * (-sum(map(len, packed)) % _GROUP)
        return _decoded(chain(packed, [padding]))
    except (binascii.Error, ValueError):
        raise BadRequestError(f"{label} is not valid base64") from None


def _stripped(parts: list[bytes]) -> list[bytes]:
    """Return the text without blanks around it."""
    while len(parts) > 1 and not parts[0].strip():
        del parts[0]
    while len(parts) > 1 and not parts[-1].strip():
        del parts[-1]
    parts[0] = parts[0].lstrip()
    parts[-1] = parts[-1].rstrip()
    return parts


def _has_lost_plus(parts: Sequence[bytes]) -> bool:
    """Whether blanks stand where form decoding put them, rather than between or around lines."""
    starts = [*accumulate(map(len, parts), initial=0)]
    number = next((number for number, part in enumerate(parts) if b" " in part), None)
    if number is None:
        return False
    first = starts[number] + parts[number].index(b" ")
    if any(b"\n" in part or b"\r" in part for part in parts):
        near = b"".join(parts[max(0, number - 1) : number + 2])
        begin = first - starts[max(0, number - 1)]
        return _WITHIN_A_LINE.search(near[max(0, begin - 1) : begin + _ENOUGH]) is not None
    if first % _GROUP:
        return True
    # Lines joined by blanks have them at even distances.
    for start, part in zip(starts, parts, strict=False):
        begin = first - start if start <= first else (first - start) % (first + 1)
        joints = part[begin :: first + 1]
        if not joints.count(b" ") == len(joints) == part.count(b" "):
            return True
        rest()
    return False
