"""Connections and the descriptors they take."""

from __future__ import annotations

import resource

import pytest

from gateway.http.server.listener import (
    MOST,
    RESERVED_LEAST,
    connections_per_listener,
    raise_limit,
)


@pytest.mark.parametrize("descriptors", [256, 1024, 4096, 65536, 2**20])
@pytest.mark.parametrize("listeners", [1, 2, 7])
@pytest.mark.parametrize("wanted", [None, 1, 100, 10**6])
def test_descriptors_are_left_for_files(
    descriptors: int, listeners: int, wanted: int | None
) -> None:
    found = connections_per_listener(descriptors, listeners, wanted)
    assert 1 <= found <= (wanted or MOST)
    assert descriptors - found * listeners >= RESERVED_LEAST
    assert found == wanted or found >= min(wanted or MOST, descriptors // 3 // listeners)


def test_the_soft_limit_becomes_the_hard_one() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
        assert raise_limit() >= min(256, hard)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
