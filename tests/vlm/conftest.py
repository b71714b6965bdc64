"""One tritonserver with the model `vlm`, loaded again for whoever finds it broken."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from launcher.server import TritonServer
from tests.support.clips import carphone_frames
from tests.support.vlm_model import (
    ENVIRONMENT,
    VARIABLES,
    VlmModel,
    random_model,
)

Clip = tuple[np.ndarray, np.ndarray]


class Keeper:
    """Starts the server and the model as needed."""

    def __init__(self, folder: Path, **parameters: str) -> None:
        self.repository = random_model(folder / "repository", **parameters)
        self._log = folder / "triton.log"
        self._server = None
        self._model: VlmModel | None = None

    def healthy(self) -> VlmModel:
        if self._model is None or not self._model.server.running:
            self.stop()
            os.environ.update(VARIABLES)
            self._server = TritonServer.on_free_ports(self.repository, log=self._log)
            self._model = VlmModel(self._server.__enter__())
        if not self._model.answers():
            self._model.unload()
            self._model.load()
        return self._model

    def stop(self) -> None:
        if self._server is not None and self._model is not None:
            self._model.close()
            self._server.__exit__(None, None, None)
        self._server = self._model = None


@pytest.fixture(scope="session")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keeper]:
    assert ENVIRONMENT.is_dir(), "`make vlm-env` creates the environment of these tests"
    found = Keeper(tmp_path_factory.mktemp("vlm"))
    yield found
    found.stop()


@pytest.fixture
def vlm(keeper: Keeper) -> VlmModel:
    return keeper.healthy()


@pytest.fixture(scope="session")
def clip() -> Clip:
    """Eight frames of a talking face, 160x128, over four seconds."""
    every = range(0, 120, 15)
    frames = np.stack([carphone_frames()[number][8:136, 8:168] for number in every])
    return frames, np.array([number / 30 for number in every], np.float32)


@pytest.fixture
def until() -> object:
    """Waits for a condition."""

    def wait(condition: object, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.02)

    return wait
