"""The old try-on server's file, whose port is one of Triton's by default, starts as it is."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.server import free_ports
from tests.triton.launcher.test_supervisor import Supervised


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Supervised]:
    (port,) = free_ports(1)
    old = tmp_path / "config.yaml"
    old.write_text(
        f"server: {{node_id: old-node, host: 0.0.0.0, port: {port}}}\n"
        "asset_service: {callback_url: ''}\nsecurity: {require_auth: false}\n"
    )
    found = Supervised(
        tmp_path, "run", SERVICES='["tryon"]', EMBEDDED__METRICS_PORT=port, TRYON__CONFIG=old
    )
    found.old_port = port  # type: ignore[attr-defined]
    yield found
    found.end()


def test_triton_s_port_gives_way(run: Supervised) -> None:
    port = run.old_port  # type: ignore[attr-defined]

    def health() -> dict[str, object]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as reply:
            return dict(json.load(reply))

    run.wait_for(lambda: "gateway listening" in run.log or run.process.poll() is not None)
    assert health()["node_id"] == "old-node"
    assert f"as tryon.server.port is {port}" in run.log
    assert "Triton answers" in run.log
