"""The stand-ins that a pool gets instead of clients."""

from __future__ import annotations

import pytest

from gateway.settings.triton import TritonSettings
from gateway.triton import members
from tests.support.pool_servers import Server


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Server]:
    made: dict[str, Server] = {}

    def client(_: TritonSettings, __: str, address: str) -> Server:
        return made.setdefault(address, Server(address))

    monkeypatch.setattr(members, "TritonClient", client)
    return made
