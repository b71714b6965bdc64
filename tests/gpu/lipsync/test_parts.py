"""The check's parts about lip-sync, as tests."""

from __future__ import annotations

import pytest

from tests.gpu.check.one_part import measure, run
from tests.gpu.check.options import Options
from tests.gpu.check.parts import Part, chosen
from tests.gpu.check.section import OK, Section

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
PARTS = chosen(["lipsync"])


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Options:
    return Options("cuda:0", quick=False, work=tmp_path_factory.mktemp("work"))


@pytest.mark.parametrize("part", PARTS, ids=[part.name for part in PARTS])
def test_part(part: Part, options: Options) -> None:
    section = Section(part.name)
    measure(section, lambda: run(part, section, options))
    assert section.state == OK, section.reason
