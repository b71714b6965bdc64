"""A gateway with all services on all ports, the document of each, and tools to read them with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.every_port import KEY, every_port


@pytest.fixture(scope="package")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Addresses of a running gateway's ports, by name."""
    with every_port(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture(scope="package")
def documents(
    addresses: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Files with the documents of its ports, by name."""
    folder = tmp_path_factory.mktemp("documents")
    files = {}
    for name, address in addresses.items():
        reply = httpx.get(f"{address}/openapi.json", headers={"X-API-Key": KEY})
        files[name] = folder / f"{name}.json"
        files[name].write_text(json.dumps(reply.json()))
    return files


@pytest.fixture(scope="session")
def tools() -> Path:
    """Folder of the programs that `make client-env` installs."""
    folder = Path(__file__).resolve().parents[3] / ".venv-clients" / "bin"
    assert folder.is_dir(), "run `make client-env`"
    return folder
