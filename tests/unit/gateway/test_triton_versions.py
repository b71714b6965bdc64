"""The range of Triton: named once, agreed with the images, said of servers outside of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.triton.versions import NEWEST, OLDEST, untested
from tests.support.containers import ROOT, versions
from tests.support.gateway import running_gateway
from tests.support.waiting import until


@pytest.mark.parametrize("version", ["", "2.51.0", "2.62.0", "2.69.0", "2.69.3dev"])
def test_within_the_range_nothing_is_said(version: str) -> None:
    assert untested(version) is None


@pytest.mark.parametrize("version", ["2.50.0", "2.70.0", "2.100.0", "3.0.0", "1.15.0", "unknown"])
def test_outside_of_it_the_range_is_named(version: str) -> None:
    told = untested(version)
    assert told == (
        f"Triton {version} is outside of the range that is tested: 2.51 (24.10) to 2.69 (26.05)"
    )


def test_the_images_have_the_newest_and_the_docs_name_both() -> None:
    assert versions()["TRITON_TAG"] == f"{NEWEST.container}-py3"
    page = (ROOT / "docs" / "operations" / "gpu.md").read_text()
    for release in (OLDEST, NEWEST):
        assert f"{release.server[0]}.{release.server[1]} ({release.container})" in page


async def test_a_newer_server_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_gateway(tmp_path, health={"canary_interval_seconds": 0.05}) as gateway:

        async def version() -> str:
            return "2.75.0"

        gateway.triton.server_version = version  # type: ignore[method-assign]
        for _ in range(2):  # as after a restart of Triton
            gateway.triton.is_live = False
            await until(lambda: not gateway.context.monitor.triton_live)
            gateway.triton.is_live = True
            await until(lambda: gateway.context.monitor.triton_live)
        told = untested("2.75.0")
        assert [record.message for record in caplog.records].count(str(told)) == 1
        for path in ("/readyz", "/services"):
            state = (await gateway.main.get(path)).json()["triton"]
            assert state == {"live": True, "version": "2.75.0", "warnings": [told]}
