"""One tritonserver with the warp engine for all tests that only ask it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.tryon_model import TryonModel, serving


@pytest.fixture(scope="package")
def tryon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TryonModel]:
    """The model at 480p."""
    with serving(tmp_path_factory.mktemp("tryon"), default_resolution="480p") as model:
        yield model
