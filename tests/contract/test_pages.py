"""Pages for people: the dashboard's files and the API documentation."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from tests.support.gateway import running_gateway

KEYS = {"keys": [{"name": "ci", "key": "sesame-opens"}]}


async def test_the_dashboard_is_open_and_may_load_nothing_foreign(tmp_path: Path) -> None:
    build = tmp_path / "dist"
    (build / "assets").mkdir(parents=True)
    (build / "index.html").write_text("<title>Pentad</title>")
    (build / "assets/app-1a2b.js").write_text("1")
    paths = {"dashboard": build}
    async with running_gateway(tmp_path, paths=paths, security=KEYS) as gateway:
        for client in (gateway.main, gateway.vision):
            page = await client.get("/")
            assert (page.status_code, page.text) == (200, "<title>Pentad</title>")
            assert page.headers["cache-control"] == "no-cache"
            policy = page.headers["content-security-policy"].split("; ")
            assert "default-src 'self'" in policy
            assert "media-src 'self' blob:" in policy  # previews of clips from the disk
            asset = await client.get("/assets/app-1a2b.js")
            assert (asset.status_code, asset.text) == (200, "1")
            assert "immutable" in asset.headers["cache-control"]
            for path in ("/assets/none.js", "/assets/%2e%2e/index.html", "/favicon.svg"):
                assert (await client.get(path)).status_code == 404
            assert (await client.get("/services")).status_code == 401


async def test_without_a_build_the_page_says_how_to_get_one(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, paths={"dashboard": tmp_path / "none"}) as gateway:
        page = await gateway.main.get("/")
        assert page.status_code == 404
        assert "make dashboard" in page.json()["detail"]
        assert (await gateway.main.get("/assets/app-1a2b.js")).status_code == 404


async def test_the_docs_are_complete_without_the_internet(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        for client in (gateway.main, gateway.text, gateway.vision):
            page = await client.get("/docs")
            assert page.status_code == 200
            links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
            assert any(link.endswith("swagger-ui-bundle.js") for link in links)
            for link in links:
                assert link.startswith("/")
                assert (await client.get(link)).status_code == 200
        mounted = await gateway.main.get("/vision/docs")
        assert "/vision/static-offline-docs/swagger-ui-bundle.js" in mounted.text
        document = (await gateway.main.get("/openapi.json")).json()
        assert {"/vision/infer", "/text/embed", "/services"} <= set(document["paths"])


async def test_the_main_ports_docs_need_no_key(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, security=KEYS) as gateway:
        for path in ("/docs", "/openapi.json", "/static-offline-docs/swagger-ui.css"):
            assert (await gateway.main.get(path)).status_code == 200
        assert (await gateway.main.get("/metrics")).status_code == 401


async def test_the_guide_is_open_and_runs_only_its_own_scripts(tmp_path: Path) -> None:
    build = tmp_path / "guide"
    (build / "services").mkdir(parents=True)
    (build / "assets").mkdir()
    (build / "index.html").write_text("<script>first()</script><p>Guide</p>")
    (build / "services/text.html").write_text("<script>second()</script>")
    (build / "assets/bundle.js").write_text("1")
    async with running_gateway(tmp_path, paths={"guide": build}, security=KEYS) as gateway:
        for path in ("/docs/guide", "/docs/guide/"):
            there = await gateway.main.get(path)
            assert (there.status_code, there.headers["location"]) == (307, "/docs/guide/index.html")
        policies = []
        for page in ("index.html", "services/text.html"):
            found = await gateway.main.get(f"/docs/guide/{page}")
            assert found.status_code == 200
            policies.append(found.headers["content-security-policy"])
            script = re.findall(r"<script>(.*?)</script>", found.text)[0]
            digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
            assert f"script-src 'self' 'sha256-{digest}'" in policies[-1]
        assert policies[0] != policies[1]
        assert (await gateway.main.get("/docs/guide/assets/bundle.js")).text == "1"
        for path in ("none.html", "%2e%2e/secret", "services"):
            missing = await gateway.main.get(f"/docs/guide/{path}")
            assert (missing.status_code, missing.json()) == (404, {"detail": "No such page"})
        assert (await gateway.main.get("/docs")).status_code == 200


async def test_without_a_build_the_guide_says_how_to_get_one(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, paths={"guide": tmp_path / "none"}) as gateway:
        page = await gateway.main.get("/docs/guide/index.html")
        assert page.status_code == 404
        assert "make docs" in page.json()["detail"]
