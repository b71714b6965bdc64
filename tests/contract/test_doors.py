"""Who gets in: Hosts, web pages, keys of each service, and what browsers are told."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gateway import Running, running_gateway
from tests.support.tiny_pictures import png
from tests.support.tryon_gateway import TryonGateway, tryon_gateway

EVIL = "https://evil.example"
NAMED = {"keys": [{"name": "app", "key": "sesame-opens"}]}
SESAME = {"X-API-Key": "sesame-opens"}
TEXTS = {"texts": ["a"]}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path) as running:
        yield running


async def test_unknown_hosts_are_misdirected_on_every_port(gateway: Running) -> None:
    paths = {
        "main": ("/", "/services", "/text/info", "/v1/models", "/vision/metrics/gpu", "/iot/models",
                 "/docs", "/nowhere"),
        "text": ("/status", "/nowhere"),
        "vision": ("/health", "/metrics/gpu", "/services"),
        "iot": ("/", "/health", "/iot/health", "/nowhere"),
    }  # fmt: skip
    for port, known in paths.items():
        client: httpx.AsyncClient = getattr(gateway, port)
        for path in known:
            for host in ("evil.example", "evil.example:9000", "localhost.evil.example", "1.2.3.4"):
                reply = await client.get(path, headers={"Host": host})
                assert reply.status_code == 421, (port, path, host)
                assert "server.allowed_hosts" in reply.text
                assert host not in reply.text
            for host in ("LOCALHOST:1", "localhost.", "127.0.0.1", "[::1]:9000"):
                reply = await client.get(path, headers={"Host": host})
                assert reply.status_code != 421, (port, path, host)
    body = (
        await gateway.main.post("/v1/embeddings", headers={"Host": "e.example"}, json={})
    ).json()
    assert "server.allowed_hosts" in body["error"]["message"]


async def test_probes_are_answered_under_every_name(gateway: Running) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        reply = await gateway.main.get(path, headers={"Host": "10.0.0.7:9000"})
        assert reply.status_code == 200, path


async def test_a_refused_host_is_counted(gateway: Running) -> None:
    await gateway.text.get("/status", headers={"Host": "evil.example"})
    assert 'pentad_rejected_total{reason="host",service="text"} 1.0' in (
        await gateway.main.get("/metrics")
    ).text  # fmt: skip


async def test_with_a_key_for_every_service_any_host_is_answered(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, security=NAMED) as gateway:
        for path in ("/services", "/text/info", "/docs"):
            reply = await gateway.main.get(path, headers={"Host": "pentad.example", **SESAME})
            assert reply.status_code == 200
    (tmp_path / "partly").mkdir()
    partly = {**NAMED, "open_services": ["text"]}
    async with running_gateway(tmp_path / "partly", security=partly) as gateway:
        for path, status in (("/text/info", 421), ("/vision/metrics/gpu", 401)):
            reply = await gateway.main.get(path, headers={"Host": "pentad.example"})
            assert reply.status_code == status


async def test_named_hosts_are_answered(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, server={"allowed_hosts": ["pentad.lan"]}) as gateway:
        for host, status in (("pentad.lan:9000", 200), ("other.lan", 421)):
            reply = await gateway.main.get("/text/info", headers={"Host": host})
            assert reply.status_code == status


PAGES: list[dict[str, str]] = [
    {"Origin": EVIL},
    {"Origin": "null"},
    {"Origin": "http://localhost:3000"},  # the Host is localhost:9000, or localhost
    {"Origin": "http://localhost.evil.example"},
    {"Origin": EVIL, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    {"Sec-Fetch-Site": "same-site"},
]
BODIES: list[tuple[str | None, bytes]] = [
    ("text/plain", b'{"texts":["a"]}'),
    ("application/x-www-form-urlencoded", b'{"texts":["a"]}'),
    ("multipart/form-data; boundary=x", b"--x--\r\n"),
    ("application/json", b'{"texts":["a"]}'),
    (None, b'{"texts":["a"]}'),
]


@pytest.mark.parametrize("page", PAGES)
async def test_pages_of_others_change_nothing(gateway: Running, page: dict[str, str]) -> None:
    calls = len(gateway.triton.calls)
    for client, path in ((gateway.text, "/embed"), (gateway.main, "/text/embed")):
        for kind, body in BODIES:
            headers = page | ({"Content-Type": kind} if kind else {})
            reply = await client.post(path, content=body, headers=headers)
            assert (reply.status_code, list(reply.json())) == (403, ["detail"])
            assert "access-control-allow-origin" not in reply.headers
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        for path in ("/vision/infer/batch", "/v1/embeddings", "/services"):
            assert (await gateway.main.request(method, path, headers=page)).status_code == 403
    assert len(gateway.triton.calls) == calls


PROGRAMS: list[dict[str, str]] = [
    {},
    {"Content-Type": "text/plain"},
    {"Origin": "http://localhost"},
    {"Origin": "HTTP://LocalHost"},
    {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"},
    # Behind a proxy that names the gateway itself in Host, a browser still tells.
    {"Origin": "https://pentad.example", "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
]


@pytest.mark.parametrize("caller", PROGRAMS)
async def test_own_pages_and_programs_call(gateway: Running, caller: dict[str, str]) -> None:
    reply = await gateway.text.post("/embed", content=b'{"texts":["a"]}', headers=caller)
    assert reply.status_code == 200


async def test_origins_that_are_named_call_everything(tmp_path: Path) -> None:
    server = {"cors": {"allow_origins": ["https://app.example"]}}
    iot = {"cors_origins": ["https://iot.example"]}
    async with running_gateway(tmp_path, server=server, iot=iot) as gateway:

        async def post(path: str, origin: str, site: str = "cross-site") -> int:
            headers = {"Origin": origin, "Sec-Fetch-Site": site}
            return (await gateway.main.post(path, json=TEXTS, headers=headers)).status_code

        assert await post("/text/embed", "https://app.example") == 200
        assert await post("/text/embed", "https://app.example.evil.example") == 403
        assert await post("/text/embed", "https://iot.example") == 403
        assert await post("/iot/emotions", "https://iot.example") == 422
        assert await post("/iot/emotions", "https://app.example") == 422
        assert await post("/iot/emotions", EVIL) == 403  # `*` is no longer among its origins


async def test_other_sites_do_not_embed_answers(gateway: Running) -> None:
    embed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert (await gateway.main.get("/services", headers=embed)).status_code == 403
    assert (await gateway.vision.get("/metrics/gpu", headers=embed)).status_code == 200
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert (await gateway.main.get("/services", headers=link)).status_code == 200


async def test_with_a_key_the_origin_does_not_matter(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, security=NAMED) as gateway:
        headers = {**SESAME, "Origin": "https://app.example"}
        assert (await gateway.text.post("/embed", json=TEXTS, headers=headers)).status_code == 200
        headers = {"Origin": "https://app.example"}
        assert (await gateway.text.post("/embed", json=TEXTS, headers=headers)).status_code == 401


OLD_PATHS = [
    ("iot", "/iot/vectorizer", "POST"), ("iot", "/iot/emotions", "POST"),
    ("iot", "/iot/transcription", "POST"), ("iot", "/iot/models", "GET"),
    ("iot", "/iot/health", "GET"), ("iot", "/health", "GET"), ("iot", "/api/health", "GET"),
    ("iot", "/", "GET"), ("vision", "/infer", "POST"), ("vision", "/health", "GET"),
    ("vision", "/metrics/gpu", "GET"), ("main", "/iot/vectorizer", "POST"),
    ("main", "/vision/infer", "POST"),
]  # fmt: skip
HEADERS = [
    "content-type", "content-type,baggage,sentry-trace", "x-requested-with", "traceparent",
    "X-Stainless-Lang, x-stainless-retry-count,authorization", "x-api-key", "x-whatever-comes-next",
]  # fmt: skip


def preflight(origin: str, method: str, *headers: str, **more: str) -> dict[str, str]:
    """Return the headers of a browser's question."""
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers:
        asked["Access-Control-Request-Headers"] = ",".join(headers)
    return asked | more


@pytest.mark.parametrize(("port", "path", "method"), OLD_PATHS)
async def test_what_the_old_servers_let_pages_do(
    gateway: Running, port: str, path: str, method: str
) -> None:
    client: httpx.AsyncClient = getattr(gateway, port)
    for headers in HEADERS:
        reply = await client.options(path, headers=preflight(EVIL, method, headers))
        assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, "*")
        assert reply.headers["access-control-allow-headers"] == headers
    sent = await client.request(
        method, path, headers={"Origin": EVIL, "Sec-Fetch-Site": "cross-site"}
    )
    assert sent.status_code != 403
    assert sent.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("origins", [[], ["https://app.example"]])
async def test_all_other_paths_are_closed_to_pages(tmp_path: Path, origins: list[str]) -> None:
    async with running_gateway(tmp_path, server={"cors": {"allow_origins": origins}}) as gateway:
        for port, path in (
            ("main", "/services"), ("main", "/text/embed"), ("main", "/vision/infer/batch"),
            ("vision", "/infer/batch"), ("vision", "/metrics/gpus"), ("vision", "/services"),
            ("iot", "/iot/openapi.json"), ("text", "/embed"), ("main", "/v1/embeddings"),
        ):  # fmt: skip
            client: httpx.AsyncClient = getattr(gateway, port)
            asked = await client.options(path, headers=preflight(EVIL, "POST", "content-type"))
            assert asked.status_code >= 400, (port, path)
            assert "access-control-allow-origin" not in asked.headers
            read = await client.get(path, headers={"Origin": EVIL})
            assert "access-control-allow-origin" not in read.headers
        # The old servers' paths keep `*` beside the origins of server.cors.
        asked = await gateway.vision.options("/infer", headers=preflight(EVIL, "POST", "baggage"))
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, "*")


async def test_named_origins_may_send_any_header_on_every_port(tmp_path: Path) -> None:
    app = "https://app.example"
    server: dict[str, Any] = {"cors": {"allow_origins": [app]}}
    async with running_gateway(tmp_path, server=server, security=NAMED) as gateway:
        for client, path in (
            (gateway.main, "/v1/embeddings"), (gateway.main, "/services"), (gateway.text, "/embed"),
            (gateway.main, "/nowhere"), (gateway.iot, "/nowhere"),
        ):  # fmt: skip
            for headers in HEADERS:
                reply = await client.options(path, headers=preflight(app, "POST", headers))
                assert reply.status_code == 200
                assert reply.headers["access-control-allow-origin"] == app
                assert reply.headers["access-control-allow-headers"] == headers
            refused = await client.get(path, headers={"Origin": app})
            assert refused.status_code == 401  # and the page may read why
            assert refused.headers["access-control-allow-origin"] == app
    (tmp_path / "strict").mkdir()
    server["cors"]["allow_headers"] = ["Content-Type"]
    async with running_gateway(tmp_path / "strict", server=server) as gateway:
        asked = preflight(app, "POST", "content-type", "baggage")
        assert (await gateway.text.options("/embed", headers=asked)).status_code == 400


async def test_pages_from_the_internet_need_their_origin_named(tmp_path: Path) -> None:
    app = "https://app.example"
    private = {"Access-Control-Request-Private-Network": "true"}
    async with running_gateway(tmp_path, server={"cors": {"allow_origins": [app]}}) as gateway:
        known = await gateway.text.options("/embed", headers=preflight(app, "POST", **private))
        assert known.headers["access-control-allow-private-network"] == "true"
        other = await gateway.vision.options("/infer", headers=preflight(EVIL, "POST", **private))
        assert other.status_code == 200  # as an old server, which did not know the question
        assert "access-control-allow-private-network" not in other.headers


async def test_every_service_takes_all_three_headers(tmp_path: Path) -> None:
    async with tryon_gateway(tmp_path, security=NAMED) as g:
        for headers in (
            SESAME,
            {"X-Internal-Auth": "sesame-opens"},
            {"Authorization": "Bearer sesame-opens"},
            {"authorization": "bearer  sesame-opens"},
            {"X-Internal-Auth": "wrong-sesame", **SESAME},
            {**SESAME, "Authorization": "Bearer wrong-sesame"},
        ):
            for path in ("/jobs", "/gpu/status"):
                assert (await g.own.get(path, headers=headers)).status_code == 200, headers
            assert (await g.running.main.get("/vton/jobs", headers=headers)).status_code == 200
        for headers in (
            {}, {"X-API-Key": ""}, {"Authorization": "Bearer"}, {"Authorization": "sesame-opens"},
            {"Authorization": "Basic sesame-opens"}, {"X-API-Key": "sesame-open"},
        ):  # fmt: skip
            assert (await g.own.get("/jobs", headers=headers)).status_code == 401, headers
    (tmp_path / "other").mkdir()
    async with running_gateway(tmp_path / "other", security=NAMED) as gateway:
        for path in ("/text/info", "/v1/models", "/iot/models", "/vision/metrics/gpu", "/services"):
            for headers in (SESAME, {"Authorization": "Bearer sesame-opens"}):
                assert (await gateway.main.get(path, headers=headers)).status_code == 200
            wrong = await gateway.main.get(path, headers={"X-Internal-Auth": "sesame-opens"})
            assert wrong.status_code == 401  # the header of try-on alone


async def test_infer_is_closed_with_keys_in_security(tmp_path: Path) -> None:
    token = {"security": {"internal_auth_token": "token-of-tryon"}}
    cases: list[tuple[dict[str, Any], int]] = [
        ({"security": NAMED}, 401),
        ({"security": NAMED, "tryon": token}, 401),
        ({"security": NAMED, "tryon": {"infer_requires_auth": False}}, 200),
        ({"tryon": token}, 200),  # the old test front end sends no token
        ({"tryon": {**token, "infer_requires_auth": True}}, 401),
        ({}, 200),
    ]
    for number, (values, status) in enumerate(cases):
        state = tmp_path / str(number)
        state.mkdir()
        async with tryon_gateway(state, **values) as g:
            assert (await g.infer()).status_code == status, values
            if "security" in values:
                assert (await g.infer(headers=SESAME)).status_code == 200


@pytest.fixture
async def tryon(tmp_path: Path) -> AsyncIterator[TryonGateway]:
    async with tryon_gateway(tmp_path) as running:
        yield running


async def test_peoples_pictures_are_not_for_pages(tryon: TryonGateway) -> None:
    assert (await tryon.submit("x")).status_code == 202
    await tryon.until("x", "delivered")
    main = tryon.running.main
    for client, root in ((tryon.own, ""), (main, "/vton")):
        for path in ("/jobs", "/jobs/x", "/jobs/x/person", "/jobs/x/garment", "/jobs/x/result"):
            assert (await client.get(root + path)).status_code == 200
            page = await client.get(root + path, headers={"Origin": EVIL})
            assert "access-control-allow-origin" not in page.headers
            for refused in (
                {"Host": "evil.example"},
                {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
            ):
                assert (await client.get(root + path, headers=refused)).status_code in (403, 421)
            asked = await client.options(root + path, headers=preflight(EVIL, "DELETE"))
            assert "access-control-allow-origin" not in asked.headers
        for method, path in (("DELETE", "/jobs/x"), ("POST", "/jobs/x/redeliver")):
            refused = await client.request(method, root + path, headers={"Origin": EVIL})
            assert refused.status_code == 403
        for path in ("/tryon", "/infer", "/gpu/status", "/test", "/metrics", "/version", "/health"):
            asked = await client.options(root + path, headers=preflight(EVIL, "POST", "baggage"))
            assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, "*")
    done = await tryon.infer(headers={"Origin": EVIL, "Sec-Fetch-Site": "cross-site"})
    assert (done.status_code, done.headers["access-control-allow-origin"]) == (200, "*")


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/oauth2-redirect"])
async def test_pages_of_documentation_have_a_policy(gateway: Running, path: str) -> None:
    for client, root in ((gateway.main, ""), (gateway.text, ""), (gateway.main, "/vision")):
        page = await client.get(root + path)
        assert page.status_code == 200
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert int(page.headers["content-length"]) == len(page.content)
        policy = dict(
            part.strip().split(" ", 1)
            for part in page.headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == "'self'"
        assert policy["frame-ancestors"] == "'self'"
        assert "unsafe" not in policy["script-src"]
        inline = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(one.encode()).digest()) for one in inline]
        assert policy["script-src"].split() == [
            "'self'", *(f"'sha256-{one.decode()}'" for one in hashes)
        ]  # fmt: skip


async def test_one_old_key_leaves_the_other_services_as_they_were(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, text={"api_key": "key-of-text"}) as gateway:
        for path in ("/vision/metrics/gpu", "/iot/models", "/metrics", "/services"):
            assert (await gateway.main.get(path)).status_code == 200, path
        picture = {"file": ("a.png", png(), "image/png")}
        assert (await gateway.vision.post("/infer", files=picture)).status_code == 200
        for path in ("/text/info", "/v1/models"):
            assert (await gateway.main.get(path)).status_code == 401
        key = {"X-API-Key": "key-of-text"}
        assert (await gateway.text.get("/info", headers=key)).status_code == 200
