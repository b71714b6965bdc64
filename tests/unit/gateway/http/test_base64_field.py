"""Base64 as clients write it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import BadRequestError, BodyTooLargeError, GatewayError
from gateway.http.base64_field import decode_base64
from gateway.http.long_text import LongText

PICTURE = b"".join(hashlib.sha256(bytes([n])).digest() for n in range(100))


def wrapped(text: str, width: int, joint: str) -> str:
    return joint.join(text[at : at + width] for at in range(0, len(text), width))


@given(
    st.binary(min_size=1, max_size=400), st.booleans(), st.booleans(),
    st.sampled_from(["", "data:image/png;base64,", "DATA:;BASE64,", " \n", "Data:video/mp4,"]),
    st.sampled_from([(10**6, ""), (76, "\n"), (64, "\r\n"), (76, "\n    "), (60, " "), (7, "\t")]),
)  # fmt: skip
def test_every_way_of_writing(
    data: bytes, urlsafe: bool, padded: bool, prefix: str, lines: tuple[int, str]
) -> None:
    text = (base64.urlsafe_b64encode if urlsafe else base64.b64encode)(data).decode()
    text = prefix + wrapped(text if padded else text.rstrip("="), *lines)
    assert decode_base64(text, "it", 400) == data
    assert decode_base64(text + "\n", "it", 400) == data


def outcome(text: str | LongText, limit: int) -> bytes | str:
    try:
        return decode_base64(text, "it", limit)
    except GatewayError as error:
        return f"{error.status} {error.detail}"


@settings(max_examples=200)
@given(
    st.sampled_from(["", "data:image/png;base64,", "DaTa:x", " \n", "\t data:,"]),
    st.lists(
        st.sampled_from(["QUJD", "QQ==", "QQ", "+/-_", "=", " ", "\n", "\r\n", "A", "$", "ABCD"]),
        max_size=14,
    ).map("".join),
    st.lists(st.integers(0, 80), max_size=6),
    st.sampled_from([8, 10**6]),
)  # fmt: skip
def test_a_text_in_parts_is_read_as_one(
    prefix: str, text: str, cuts: list[int], limit: int
) -> None:
    written = prefix + text
    edges = [0, *sorted(cuts), max(80, len(written))]
    parts = [written[begin:end] for begin, end in itertools.pairwise(edges)]
    assert outcome(LongText(parts), limit) == outcome(written, limit)


@pytest.mark.parametrize("width", [10**6, 76])
def test_a_plus_that_became_a_blank_is_named(width: int) -> None:
    text = wrapped(base64.b64encode(PICTURE).decode(), width, "\r\n")
    with pytest.raises(BadRequestError) as caught:
        decode_base64(text.replace("+", " "), "it", 10**6)
    assert "%2B" in caught.value.detail


@pytest.mark.parametrize("text", ["§", "a", "data:abc", "QUJD=QUJD", "QU$D", "%%%%", "\ud800"])
def test_what_is_not_base64(text: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        decode_base64(text, "it", 100)
    assert caught.value.detail == "it is not valid base64"


def test_the_limit_is_that_of_the_bytes() -> None:
    text = base64.b64encode(bytes(1000)).decode()
    assert decode_base64(wrapped(text, 4, "\r\n"), "it", 1000) == bytes(1000)
    with pytest.raises(BodyTooLargeError):
        decode_base64(base64.b64encode(bytes(1004)).decode(), "it", 1000)


@pytest.mark.parametrize("piece", [" ", "A ", "\n", "A\n ", "A \n", " A", "é", "=", "-", "AAA "])
def test_nonsense_costs_little(piece: str) -> None:
    text = "AAAA" + piece * (2**22 // len(piece))
    begin = time.process_time()
    with contextlib.suppress(GatewayError):
        decode_base64(text, "it", 2**22)
    assert time.process_time() - begin < 1
