"""Forms that no client writes: read, or refused with an error of ours."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from gateway.errors import BadRequestError, BodyTooLargeError, GatewayError
from gateway.http.multipart import FormReader

HEAD = b'--b\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\n'
PIECES = st.sampled_from(
    [b"--b", b"\r\n", b"--", b"\r", b"\n", b"Content-Disposition: form-data;", b' name="a"', b";",
     b' filename="\xe9"', b"=", b'"', b"\\", b"X", b":", b" ", b"*", b"\x00", b"\xff", b"--b--"]
)  # fmt: skip


class Heard(FormReader):
    """Writes down what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[Any, ...]] = []

    def text(self, name: str, value: str) -> None:
        self.heard.append((name, value))

    def file_begins(self, name: str, filename: str) -> None:
        self.heard.append((name, filename, b""))

    def file_data(self, data: bytes) -> None:
        *known, before = self.heard[-1]
        self.heard[-1] = (*known, before + data)

    def file_ends(self) -> None:
        pass


async def read(body: bytes, kind: str = "multipart/form-data; boundary=b") -> list[Any]:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {"type": "http", "headers": [(b"content-type", kind.encode("latin-1"))]}
    form = Heard()
    await form.read(Request(scope, receive))
    return form.heard


@settings(max_examples=300)
@given(
    st.lists(PIECES, max_size=40).map(b"".join),
    st.sampled_from(["b", '"b"', '"', "b; charset=rot13", "b" * 257, "é", "b;boundary=c", "\t"]),
)
async def test_nothing_but_our_errors(body: bytes, boundary: str) -> None:
    for start in (b"", b"--b\r\n", HEAD % (b"a", b"c")):
        with contextlib.suppress(GatewayError):
            await read(start + body, f"multipart/form-data; boundary={boundary}")


async def test_names_of_files_in_old_encodings() -> None:
    for name in ("é.png".encode(), "é.png".encode("latin-1")):
        assert await read(HEAD % (b"f", name) + b"x\r\n--b--\r\n") == [("f", "é.png", b"x")]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "multipart/form-data; boundary=b"),
        (b"--b\r\n", "multipart/form-data; boundary=" + "b" * 5000),
        (b"--b--\r\n", "multipart/form-data"),
        (b"--b\r\nX: " + b"x" * 5000 + b"\r\n\r\n\r\n--b--\r\n", "multipart/form-data; boundary=b"),
        (b"--b\r\n" + b"X: y\r\n" * 20 + b"\r\n\r\n--b--\r\n", "multipart/form-data; boundary=b"),
    ],
)
async def test_malformed(body: bytes, kind: str) -> None:
    with pytest.raises(BadRequestError):
        await read(body, kind)


async def test_bounds_of_texts_and_parts() -> None:
    text = b'--b\r\nContent-Disposition: form-data; name="t"\r\n\r\n'
    with pytest.raises(BodyTooLargeError):
        await read(text + b"x" * (2**16 + 1) + b"\r\n--b--\r\n")
    with pytest.raises(BodyTooLargeError):
        await read((text + b"x\r\n") * 33 + b"--b--\r\n")
    assert len(await read((text + b"x\r\n") * 32 + b"--b--\r\n")) == 32
