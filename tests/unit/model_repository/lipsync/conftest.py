"""One narrow tenant for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.lipsync_tenants import Plain, write_tenant


@pytest.fixture(scope="session")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow tenant's ONNX file; nobody changes it or imports beside it."""
    return write_tenant(tmp_path_factory.mktemp("tenant"), "one", seed=1)


@pytest.fixture(scope="session")
def blob(tenant: Path, tmp_path_factory: pytest.TempPathFactory):
    """Its import for CPUs, opened."""
    from tenants.blob import OpenBlob
    from tenants.importing import import_tenant
    from tenants.layout import BLOCKED

    folder = tmp_path_factory.mktemp("blocked")
    return OpenBlob(folder, import_tenant(tenant, folder, BLOCKED))


@pytest.fixture(scope="session")
def half_blob(tenant: Path, tmp_path_factory: pytest.TempPathFactory):
    """Its import for GPUs, opened."""
    from tenants.blob import OpenBlob
    from tenants.importing import import_tenant
    from tenants.layout import HALF

    folder = tmp_path_factory.mktemp("half")
    return OpenBlob(folder, import_tenant(tenant, folder, HALF))


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory):
    """Three more tenants of its graph: imports for GPUs, and plain sessions of their files."""
    from tests.support.half_tenants import half

    folder = tmp_path_factory.mktemp("others")
    files = [write_tenant(folder, str(seed), seed) for seed in (11, 12, 13)]
    return [(half(file, folder / f"import-{file.stem}"), Plain(file)) for file in files]
