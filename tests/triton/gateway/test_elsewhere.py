"""The gateway against a Triton that somebody else runs (`triton.start: false`)."""

from __future__ import annotations

import contextlib
from pathlib import Path

import httpx
import pytest

from launcher.server import TritonServer, free_ports
from tests.support.stack import Stack
from tests.support.waiting import wait_for

KEY = "a-key-of-the-operator"
RESTRICTED = (
    "metadata,inference,shared-memory,model-config,model-repository,statistics,trace,logging"
)


@pytest.fixture
def variables(exported_models: Path, tmp_path: Path):  # type: ignore[no-untyped-def]
    log = tmp_path / "triton.log"
    restricted = f"--grpc-restricted-protocol={RESTRICTED}:triton-admin-key={KEY}"
    with TritonServer.on_free_ports(
        exported_models, log=log, grpc_port=free_ports(1)[0], arguments=(restricted,)
    ) as server:
        yield {
            "PENTAD_TRITON__START": "false",
            "PENTAD_TRITON__URL": server.grpc_url,
            "PENTAD_TRITON__METRICS_URL": server.metrics_url,
            "PENTAD_SERVICES": '["text"]',
        }
        assert server.live()


def test_serves_from_it_and_leaves_it_running(variables: dict[str, str], tmp_path: Path) -> None:
    stack = Stack(tmp_path / "state", {**variables, "PENTAD_TRITON__ADMIN_KEY": KEY})
    try:
        stack.start()
        assert stack.named("tritonserver") == []
        reply = httpx.post(stack.text + "/embed", json={"texts": ["hello"]}, timeout=30)
        assert len(reply.json()["embeddings"][0]) == 384
        stack.stop()
    finally:
        stack.kill()


def test_a_wrong_admin_key_is_reported(variables: dict[str, str], tmp_path: Path) -> None:
    stack = Stack(tmp_path / "state", {**variables, "PENTAD_TRITON__ADMIN_KEY": "wrong-wrong"})
    try:
        with pytest.raises(AssertionError, match="not ready"):
            stack.start(8)

        def told() -> httpx.Response | None:
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(stack.main + "/readyz", timeout=60)
            return None

        wait_for(lambda: (found := told()) and "refuses triton.admin_key" in found.text)
        report = told()
        assert report
        assert report.status_code == 503
        models = report.json()["services"]["text"]["models"]
        assert all(model["state"] == "down" for model in models)
        assert KEY not in stack.log
    finally:
        stack.kill()
