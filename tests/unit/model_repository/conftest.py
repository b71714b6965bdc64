"""Each folder's tests see the code of the model that the folder is named after, as in Triton."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.model_code import code_of

HERE = Path(__file__).parent
SHARED = "text_embedding"
"""Where the files lie that most models have a link to; their tests are in no model's folder."""


def model_of(path: Path) -> str:
    """The model whose code a test file is about."""
    folders = path.relative_to(HERE).parts[:-1]
    return folders[0] if folders else SHARED


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    if not isinstance(collector, pytest.Module):
        return (yield)
    with code_of(model_of(collector.path)):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if not item.path.is_relative_to(HERE):  # this hook is called for every test
        return (yield)
    with code_of(model_of(item.path)):
        return (yield)
