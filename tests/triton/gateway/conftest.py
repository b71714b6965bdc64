"""One running Pentad for all tests of this folder that do not break it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.stack import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = Stack(tmp_path_factory.mktemp("stack") / "state")
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.kill()
