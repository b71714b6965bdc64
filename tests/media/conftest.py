"""The readers of pictures and clips as emotion stories have them: it has all but try-on's."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.model_code import code_of

HERE = Path(__file__).parent
MODEL = "emotion_story"


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    if not isinstance(collector, pytest.Module):
        return (yield)
    with code_of(MODEL):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if not item.path.is_relative_to(HERE):  # this hook is called for every test
        return (yield)
    with code_of(MODEL):
        return (yield)
