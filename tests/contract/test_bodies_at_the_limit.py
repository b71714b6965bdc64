"""Wrong bodies as large as each service takes them, on one route of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.gateway_process import gateway_process
from tests.support.hostile_bodies import check_cost, hostile_bodies, routes

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
