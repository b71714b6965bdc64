from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from gateway.errors import BadRequestError, BodyTooLargeError, ClientGoneError
from gateway.services.tryon.upload import read_form

NAMES = {"masked_user_image": "person", "garment_image": "garment"}
Parts = tuple[dict[str, str], dict[str, bytes], list[str]]
# The machine may be slow, and the folder serves all examples.
LENIENT = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


def body_of(data: dict[str, str], files: dict[str, bytes]) -> tuple[bytes, str]:
    request = httpx.Request(
        "POST", "http://x", data=data,
        files={name: (f"{name}.png", content) for name, content in files.items()},
    )  # fmt: skip
    return request.read(), request.headers["content-type"]


async def parse(
    chunks: Sequence[bytes], kind: str, folder: Path, limit: int = 10**6, *, leaves: bool = False
) -> Parts:
    """Read a form and return its texts, files and what was on the disk meanwhile."""
    left = list(chunks)

    async def receive() -> dict[str, Any]:
        if not left and leaves:
            return {"type": "http.disconnect"}
        body = left.pop(0) if left else b""
        return {"type": "http.request", "body": body, "more_body": bool(left) or leaves}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind.encode())]}
    async with read_form(Request(scope, receive), folder, NAMES, limit) as form:
        files = {name: file.path.read_bytes() for name, file in form.files.items()}
        for name, file in form.files.items():
            assert file.digest == hashlib.sha256(files[name]).hexdigest()
            assert file.size == len(files[name])
        return form.texts, files, sorted(one.name for one in form.folder.iterdir())


@settings(max_examples=60, suppress_health_check=LENIENT)
@given(
    st.binary(max_size=3000), st.binary(max_size=3000),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=50), st.data(),
)  # fmt: skip
def test_however_the_body_is_cut(
    tmp_path: Path, person: bytes, garment: bytes, text: str, data: st.DataObject
) -> None:
    files = {"masked_user_image": person, "garment_image": garment}
    body, kind = body_of({"config": text}, files)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=20)))
    edges = [0, *cuts, len(body)]
    chunks = [body[a:b] for a, b in itertools.pairwise(edges)]
    texts, found, names = asyncio.run(parse(chunks, kind, tmp_path))
    assert texts == {"config": text}
    assert found == files
    assert names == ["garment", "person"]
    assert list(tmp_path.iterdir()) == []


async def test_files_nobody_asked_for_are_dropped(tmp_path: Path) -> None:
    body, kind = body_of({}, {"../../evil": b"x" * 100, "garment_image": b"g"})
    texts, files, names = await parse([body], kind, tmp_path)
    assert (texts, files, names) == ({}, {"garment_image": b"g"}, ["garment"])


async def test_the_last_one_wins(tmp_path: Path) -> None:
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="garment_image"; filename="a"\r\n\r\none\r\n',
        b'--b\r\nContent-Disposition: form-data; name="garment_image"; filename="b"\r\n\r\n2\r\n',
        b'--b\r\nContent-Disposition: form-data; name="seed"\r\n\r\n1\r\n',
        b'--b\r\nContent-Disposition: form-data; name="seed"\r\n\r\n2\r\n--b--\r\n',
    ]
    texts, files, _ = await parse(parts, "multipart/form-data; boundary=b", tmp_path)
    assert (texts, files) == ({"seed": "2"}, {"garment_image": b"2"})


async def test_limits(tmp_path: Path) -> None:
    body, kind = body_of({}, {"garment_image": bytes(2000)})
    with pytest.raises(BodyTooLargeError):
        await parse([body], kind, tmp_path, 1999)
    with pytest.raises(BodyTooLargeError):
        await parse(*_multipart("config", b"x" * 70_000), tmp_path)
    many = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nx\r\n' % n for n in range(40)
    )
    with pytest.raises(BodyTooLargeError):
        await parse([many + b"--b--\r\n"], "multipart/form-data; boundary=b", tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_broken_or_left_in_the_middle(tmp_path: Path) -> None:
    body, kind = body_of({"a": "b"}, {"garment_image": b"g" * 100})
    with pytest.raises(BadRequestError):
        await parse([body[:-30]], kind, tmp_path)
    with pytest.raises(BadRequestError):
        await parse([b"no form at all"], kind, tmp_path)
    with pytest.raises(ClientGoneError):
        await parse([body[:-30]], kind, tmp_path, leaves=True)
    assert list(tmp_path.iterdir()) == []


def _multipart(name: str, content: bytes) -> tuple[list[bytes], str]:
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
    return [head + content + b"\r\n--b--\r\n"], "multipart/form-data; boundary=b"
