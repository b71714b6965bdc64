"""One running Pentad for all tests of this folder that do not break it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.stack import WITHOUT_TENANTS, Stack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    services = {"PENTAD_SERVICES": json.dumps([*WITHOUT_TENANTS, "tryon"])}
    running = Stack(tmp_path_factory.mktemp("stack") / "state", services)
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.kill()
