"""HEAD answers wherever GET does, and a last slash changes nothing: on every port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.gateway import Running, running_gateway
from tests.support.tryon_gateway import TryonGateway, tryon_gateway

PORTS = ("main", "text", "vision", "iot")
VARYING = {"x-request-id", "date", "last-modified", "etag"}  # differ between any two answers
PATHS = {
    "main": (
        "/", "/healthz", "/readyz", "/metrics", "/services", "/openapi.json", "/docs",
        "/text/health", "/text/models", "/vision/health", "/iot/models", "/v1/models", "/nothing",
    ),
    "text": ("/health", "/models", "/status", "/docs", "/embed", "/nothing"),
    "vision": ("/", "/health", "/healthz", "/readyz", "/docs", "/infer", "/gpu/status"),
    "iot": ("/", "/iot/models", "/health", "/docs", "/iot/nothing"),
}  # fmt: skip


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path) as running:
        yield running


@pytest.fixture
async def tryon(tmp_path: Path) -> AsyncIterator[TryonGateway]:
    async with tryon_gateway(tmp_path) as running:
        yield running


def seen(reply: httpx.Response) -> tuple[int, dict[str, str]]:
    return reply.status_code, {k: v for k, v in reply.headers.items() if k not in VARYING}


async def same_for_head(client: httpx.AsyncClient, path: str) -> None:
    got, head = await client.get(path), await client.head(path)
    assert head.content == b"", path
    status, headers = seen(head)
    expected = seen(got)
    if got.headers.get("content-type", "").startswith(("text/plain", "application/json")):
        headers.pop("content-length", None)  # counters and ages may have grown a digit
        expected[1].pop("content-length", None)
    assert (status, headers) == expected, path


@pytest.mark.parametrize("port", PORTS)
async def test_head_is_get_without_a_body(gateway: Running, port: str) -> None:
    for path in PATHS[port]:
        await same_for_head(getattr(gateway, port), path)


@pytest.mark.parametrize("port", PORTS)
async def test_a_last_slash_reaches_the_same(gateway: Running, port: str) -> None:
    client: httpx.AsyncClient = getattr(gateway, port)
    for path in PATHS[port]:
        if path != "/":
            plain, slashed = await client.get(path), await client.get(path + "/?a=1")
            assert seen(plain)[0] == seen(slashed)[0], path
            assert plain.headers.get("content-type") == slashed.headers.get("content-type")


@pytest.mark.parametrize("port", PORTS)
async def test_every_documented_get_answers_both(gateway: Running, port: str) -> None:
    client: httpx.AsyncClient = getattr(gateway, port)
    paths = (await client.get("/openapi.json")).json().get("paths", {})
    for path in (path for path, methods in paths.items() if "get" in methods):
        if "{" not in path:
            status = (await client.get(path)).status_code
            assert status != 404
            assert (await client.head(path)).status_code == status, path
            assert (await client.get(path + "/")).status_code == status, path


async def test_a_post_keeps_its_body_behind_a_slash(gateway: Running) -> None:
    body = {"texts": ["hi"]}
    for client, path in ((gateway.text, "/embed"), (gateway.main, "/text/embed")):
        plain = await client.post(path, json=body)
        slashed = await client.post(path + "/", json=body)
        assert (plain.status_code, plain.json()) == (slashed.status_code, slashed.json())
        assert plain.status_code == 200


async def test_keys_are_asked_for_as_for_the_path_itself(tmp_path: Path) -> None:
    keys = {"keys": [{"name": "ci", "key": "sesame-opens"}]}
    mine = {"X-API-Key": "sesame-opens"}
    async with running_gateway(tmp_path, security=keys) as gateway:
        for client, path in ((gateway.main, "/healthz"), (gateway.text, "/health")):
            assert (await client.head(path)).status_code == 200
            # What is open is open exactly so, as on the old servers.
            assert (await client.get(path + "/")).status_code == 401
            assert (await client.get(path + "/", headers=mine)).status_code == 200
        for client, path in ((gateway.main, "/services"), (gateway.text, "/info")):
            for method, form in (("GET", path + "/"), ("HEAD", path), ("HEAD", path + "/")):
                assert (await client.request(method, form)).status_code == 401
                assert (await client.request(method, form, headers=mine)).status_code == 200


async def test_the_log_and_the_metrics_say_head(gateway: Running) -> None:
    await gateway.text.head("/health")
    metrics = gateway.context.metrics.render().decode()
    assert 'requests_total{method="HEAD",route="/health",service="text",status="200"}' in metrics


async def test_an_escaped_slash_is_part_of_a_name(tryon: TryonGateway) -> None:
    job = (await tryon.submit()).json()["job_id"]
    assert (await tryon.own.get(f"/jobs/{job}/")).status_code == 200
    assert (await tryon.own.get(f"/jobs/{job}%2F")).status_code != 200


async def test_head_of_an_event_stream_ends_at_once(tryon: TryonGateway) -> None:
    tryon.triton.permits = asyncio.Semaphore(0)  # the job stays under way
    job = (await tryon.submit()).json()["job_id"]
    reply = await asyncio.wait_for(tryon.own.head(f"/jobs/{job}/events"), 30)
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.content == b""
