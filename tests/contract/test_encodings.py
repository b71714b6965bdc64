"""JSON in every encoding it may have, compressed or not, as the old servers and proxies send it."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gateway import Running, running_gateway

BODY = {"texts": ["é 😀", "b"], "model": "all-MiniLM-L6-v2"}
CODECS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"]
LARGE = {"texts": ["é" * 9000] * 90}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path) as running:
        yield running


async def ask(gateway: Running, raw: bytes, coding: str = "", piece: int = 0) -> httpx.Response:
    headers = {"content-encoding": coding} if coding else {}

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(raw), piece):
            yield raw[at : at + piece]

    content: Any = pieces() if piece else raw
    return await gateway.text.post("/embed", content=content, headers=headers)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("piece", [0, 1])
async def test_json_in_any_encoding(gateway: Running, codec: str, piece: int) -> None:
    for ascii_only in (True, False):
        raw = json.dumps(BODY, ensure_ascii=ascii_only).encode(codec)
        reply = await ask(gateway, raw, piece=piece)
        assert reply.json()["embeddings"] == [[3.0, 233.0], [1.0, 98.0]]


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
async def test_a_large_body_in_any_encoding(gateway: Running, codec: str) -> None:
    raw = json.dumps(LARGE, ensure_ascii=False).encode(codec)
    for packed, coding in ((raw, ""), (gzip.compress(raw), "gzip")):
        reply = await ask(gateway, packed, coding, 50_001)
        assert reply.json()["embeddings"] == [[9000.0, 233.0]] * 90


async def test_models_of_the_openai_dialect_too(gateway: Running) -> None:
    raw = json.dumps({"input": "abc", "model": BODY["model"]}).encode("utf-8-sig")
    headers = {"content-encoding": "gzip"}
    reply = await gateway.main.post("/v1/embeddings", content=gzip.compress(raw), headers=headers)
    assert reply.status_code == 200
    headers = {"content-encoding": "br"}
    reply = await gateway.main.post("/v1/embeddings", content=raw, headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (415, "unsupported_coding")


@pytest.mark.parametrize(
    "raw",
    ['{"texts":["a'.encode("utf-16"), b"\xef\xbb\xbf", b"\xff\xfe\x00\xd8a", b"\xef\xbb\xbf{"],
)
async def test_what_is_no_json_in_any_encoding(gateway: Running, raw: bytes) -> None:
    reply = await ask(gateway, raw)
    assert reply.status_code == 422
    assert reply.json()["detail"][0]["type"] == "json_invalid"


@pytest.mark.parametrize(
    ("coding", "packed"),
    [("gzip", gzip.compress(json.dumps(BODY).encode())),
     ("deflate", zlib.compress(json.dumps(BODY).encode())),
     ("identity", json.dumps(BODY).encode())],
    ids=["gzip", "deflate", "identity"],
)  # fmt: skip
async def test_a_compressed_body_is_read(gateway: Running, coding: str, packed: bytes) -> None:
    for piece in (0, 3):
        assert (await ask(gateway, packed, coding, piece)).status_code == 200


async def test_a_compressed_form_is_read(gateway: Running) -> None:
    form = httpx.Request("POST", "http://x", files={"file": ("a", b"pretend")})
    headers = {"content-type": form.headers["content-type"], "content-encoding": "gzip"}
    packed = gzip.compress(form.read())
    reply = await gateway.vision.post("/infer", content=packed, headers=headers)
    assert reply.status_code == 200


async def test_the_limit_is_that_of_the_unpacked_body(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, text={"max_body_bytes": 2000}) as gateway:
        fits = json.dumps({"texts": ["a" * 1900]}).encode()
        assert (await ask(gateway, gzip.compress(fits), "gzip")).status_code == 200
        over = json.dumps({"texts": ["a" * 2000]}).encode()
        reply = await ask(gateway, gzip.compress(over), "gzip")
        assert (reply.status_code, "2000 bytes" in reply.json()["detail"]) == (413, True)


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, br", "snappy"])
async def test_other_codings_are_415_with_words(gateway: Running, coding: str) -> None:
    for client, path in ((gateway.text, "/embed"), (gateway.iot, "/iot/vectorizer")):
        reply = await client.post(path, content=b"{}", headers={"content-encoding": coding})
        assert reply.status_code == 415
        assert "gzip" in reply.json()["detail"]
        assert reply.headers["accept-encoding"] == "gzip, deflate"
    form = {"content-type": "multipart/form-data; boundary=b", "content-encoding": coding}
    assert (await gateway.vision.post("/infer", content=b"--b--", headers=form)).status_code == 415


async def test_damaged_compression_is_400(gateway: Running) -> None:
    packed = gzip.compress(json.dumps(BODY).encode())
    for raw in (packed[:-5], b"{}", packed[:-8] + b"12345678"):
        reply = await ask(gateway, raw, "gzip")
        assert (reply.status_code, "Content-Encoding" in reply.json()["detail"]) == (400, True)
