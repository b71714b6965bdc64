"""Paths and queries that no client of ours sends, on every route there is: 4xx, never 500."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.api_document import body_schemas
from tests.support.gateway import Running, running_gateway
from tests.support.gateway_process import SERVICES, EveryTriton

DIGITS = str(10**400).encode()
ODD = [
    b"%", b"\x00", b"a\x00b", b"\xed\xa0\x80", b"\xff\xfe", DIGITS, b"-" + DIGITS, b"-1", b"nan",
    b"inf", b"1e400", b"1.5", b"9" * 5000, b"", b"\xc2\xb2", b"..", b"a/b", b"/", b"[" * 2000,
    b"9223372036854775808", b"x" * 3000, b"true", b"null", b"\n", b"0x10", b"\xd9\xa3",
]  # fmt: skip
NAMES = ("samples", "gpu", "search", "offset", "limit", "state", "cursor", "frame", "\x00")
CURSORS = [
    [], [1], [1, 2, 3], {"a": 1}, "x", 3, None, [None, None], ["x", "y"], [1, {"a": 1}],
    [10**400, "a"], [1, "a\x00b"], [1, "\ud800"], [float("inf"), "a"], [float("nan"), "a"],
    [True, False], [-1, ""],
]  # fmt: skip


def mark(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    file = tmp_path / "tenant-00.onnx"
    file.write_text("weights")
    lipsync: dict[str, Any] = {"models": {"tenant-00": {"model_path": str(file)}}}
    lipsync["transport"] = "grpc"
    async with running_gateway(
        tmp_path, EveryTriton(), services=SERVICES, lipsync=lipsync
    ) as running:
        yield running


async def routes(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    """Every method and path of the main port that takes no body."""
    paths = (await client.get("/openapi.json")).json()["paths"]
    return [
        (method.upper(), path)
        for path, operations in paths.items()
        for method, operation in operations.items()
        if "requestBody" not in operation and not path.endswith("/events")
    ]


async def check(client: httpx.AsyncClient, method: str, raw: bytes) -> None:
    url = httpx.URL("http://main").copy_with(raw_path=raw)
    reply = await client.request(method, url)
    assert reply.status_code < 500, (method, raw[:200], reply.text[:200])
    if reply.status_code >= 400:
        assert len(reply.content) <= 16 * 2**10
        assert reply.json().keys() & {"detail", "error"}


@settings(max_examples=60, suppress_health_check=[*HealthCheck])
@given(data=st.data())
async def test_any_path_and_query(gateway: Running, data: st.DataObject) -> None:
    known = await routes(gateway.main)
    assert len(known) > 25
    values = st.sampled_from(ODD) | st.binary(max_size=20)
    method, path = data.draw(st.sampled_from(known))
    filled = _filled(path, lambda: quote_from_bytes(data.draw(values), safe="/"))
    query = data.draw(st.dictionaries(st.sampled_from(NAMES), values, max_size=4))
    text = b"&".join(
        quote_from_bytes(n.encode()).encode() + b"=" + quote_from_bytes(v).encode()
        for n, v in query.items()
    )
    await check(gateway.main, method, filled + b"?" + text)


async def test_every_odd_value_in_every_place(gateway: Running) -> None:
    for method, path in await routes(gateway.main):
        for value in ODD if "{" in path else ():
            odd = quote_from_bytes(value, safe="")
            await check(gateway.main, method, _filled(path, lambda odd=odd: odd))  # type: ignore[misc]
    queried = ("/vision/metrics/gpu", "/vision/metrics/gpus", "/lipsync/tenants", "/vton/jobs")
    for path in queried:
        for name in NAMES:
            for value in ODD:
                query = f"{name}={quote_from_bytes(value)}".replace("\x00", "%00")
                await check(gateway.main, "GET", f"{path}?{query}".encode())


async def test_cursors_of_nobody(gateway: Running) -> None:
    raw = [json.dumps(one).encode() for one in CURSORS]
    raw += [b"[" * 1500, b"[1" + b"0" * 400 + b', "a"]', b"\xff", b'[1, "\\ud800"]', b"[1e400,1]"]
    for text in (*map(mark, raw), "§", "A", "=", "\x00", "é" * 100):
        reply = await gateway.main.get("/vton/jobs", params={"cursor": text})
        assert reply.status_code < 500, (text, reply.text)
    refused = await gateway.main.get("/vton/jobs", params={"cursor": mark(b"[" * 1500)})
    assert refused.json() == {"detail": "cursor is not one of this server's"}


NUMBERS = st.sampled_from(
    ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "-0", "9" * 4300, "1" * 5000]
)
STRINGS = st.sampled_from(['"\\ud800"', '"\\u0000"', '"a\\udc00\\ud800"', '"\x01"', '""', '"QUJD"'])
JSON = st.recursive(
    NUMBERS | STRINGS | st.sampled_from(["null", "true", "[]", "{}"]) | st.integers().map(str),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
        | st.tuples(st.sampled_from(["data", "pose", "frame", "duration", "fps", ""]), inner).map(
            lambda pair: f'{{"{pair[0]}":{pair[1]}}}'
        )
    ),
    max_leaves=8,
)


@settings(max_examples=100, suppress_health_check=[*HealthCheck])
@given(data=st.data())
async def test_any_json(gateway: Running, data: st.DataObject) -> None:
    document = (await gateway.main.get("/openapi.json")).json()
    bodies = {
        path: body_schemas(document, operations.get("post", {}))
        for path, operations in document["paths"].items()
    }
    schemas = {
        path: one["application/json"] for path, one in bodies.items() if "application/json" in one
    }
    path = data.draw(st.sampled_from(sorted(schemas)))
    fields = st.sampled_from([*schemas[path]["properties"], "other"])
    drawn = data.draw(st.dictionaries(fields, JSON, max_size=5))
    raw = "{" + ",".join(f'"{name}":{value}' for name, value in drawn.items()) + "}"
    url = path.replace("{tenant}", "tenant-00")
    reply = await gateway.main.post(url, content=raw.encode("utf-8", "surrogatepass"))
    assert reply.status_code < 500, (path, raw[:500], reply.text)
    assert len(reply.content) <= 16 * 2**10


@pytest.mark.parametrize(
    "frame", [2**63, -(2**63) - 1, 10**30, 10**400, 1.5, "x"], ids=lambda one: str(one)[:9]
)
async def test_a_frame_s_number_beyond_64_bits(gateway: Running, frame: object) -> None:
    body = {"images": [{"frame": frame, "data": "QUJD"}]}
    reply = await gateway.main.post("/iot/emotions", json=body)
    assert reply.status_code == 422
    assert reply.json()["detail"][0]["loc"] == ["body", "images", 0, "frame"]


def _filled(path: str, value: Callable[[], str]) -> bytes:
    return re.sub(r"\{\w+\}", lambda _: value(), path).encode()
