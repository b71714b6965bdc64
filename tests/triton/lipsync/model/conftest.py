"""One tritonserver with the lip-sync model and narrow tenants for all tests that only ask it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lipsync_model import LipsyncModel, serving
from tests.support.lipsync_tenants import Tenant, made


@pytest.fixture(scope="package")
def lipsync(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LipsyncModel]:
    """The model, with two workers whatever the machine has."""
    with serving(tmp_path_factory.mktemp("lipsync"), workers="2") as model:
        yield model


@pytest.fixture(scope="package")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> list[Tenant]:
    """Three narrow tenants; tests load them as they need them."""
    folder = tmp_path_factory.mktemp("tenants")
    return [made(folder, f"tenant-{seed}", seed) for seed in range(3)]


@pytest.fixture
def fresh(tmp_path: Path, request: pytest.FixtureRequest) -> Tenant:
    """A tenant that no other test uses."""
    return made(tmp_path, f"{request.node.name[:60]}-{id(request)}", 40)
