"""Bodies as large as each service takes them, wrong and right ones, on one route of each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.gateway_process import gateway_process
from tests.support.hostile_bodies import HOLD, check_cost, hostile_bodies, large_bodies, routes

MIB = 2**20
LIMITS = {
    "/text/embed": 16, "/v1/embeddings": 16, "/iot/vectorizer": 64, "/vision/infer": 32,
    "/vton/tryon": 22,
}  # fmt: skip
"""Largest body of each service, MiB."""


@pytest.mark.parametrize("path", LIMITS)
def test_what_the_largest_bodies_cost(tmp_path: Path, path: str) -> None:
    with gateway_process(tmp_path) as gateway:  # one that has kept no memory of others
        (content,) = (content for _, known, content in routes(gateway) if known == path)
        for hostile in hostile_bodies(content, LIMITS[path] * MIB - 2**16):
            check_cost(gateway, "POST", path, hostile)


@pytest.mark.parametrize(("path", "limit"), {
    "/text/embed": 16, "/iot/vectorizer": 64, "/iot/emotions": 64, "/vision/infer": 32,
    "/vton/infer": 22,
}.items())  # fmt: skip
def test_others_do_not_wait_for_large_bodies(tmp_path: Path, path: str, limit: int) -> None:
    """Four at once: what is done for them is done in pieces, with turns for others between."""
    with gateway_process(tmp_path) as gateway, ThreadPoolExecutor(3) as pool:
        for name, body, headers in large_bodies(path, limit * MIB - 2**16):
            sent = [pool.submit(gateway.ask, "POST", path, body, headers) for _ in range(3)]
            found = gateway.cost("POST", path, body, headers)
            assert 200 <= found.status < 500, (name, found)
            assert {answer.result()[0] for answer in sent} <= {found.status, 429, 503}
            assert found.hold <= HOLD, (name, len(body), found)
