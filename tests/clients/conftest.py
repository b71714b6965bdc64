"""All of Pentad as somebody starts it who has just switched the old servers off.

What it is told are the old servers' own environment variables, so that only the services that had
a key have one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.callback_receiver import Receiver
from tests.support.lipsync_tenants import write_tenant
from tests.support.stack import ROOT, Stack

EXPORTED = ("iot", "text", "tryon", "vision")
TEXT_KEY = "text-key-of-old"
NODE_TOKEN = "node-token-of-old"
ASSET_TOKEN = "asset-token-of-old"
BALANCER_TOKEN = "balancer-token-of-old"
NODE = "node-of-old"


@dataclass
class Old:
    """Where the old clients go, and who waits for callbacks.

    Attributes:
        stack: all services.
        assets: the asset service, and the load balancer too.
        tenant: id of a lip-sync tenant.
    """

    stack: Stack
    assets: Receiver
    tenant: str


@pytest.fixture(scope="package")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Old]:
    """Pentad, started with the old servers' environment."""
    command = [sys.executable, "-m", "export", "--services", *EXPORTED]
    subprocess.run(command, cwd=ROOT, check=True)
    tenants = tmp_path_factory.mktemp("tenants")
    write_tenant(tenants, "sanders", seed=1)
    assets = Receiver()
    running = Stack(
        tmp_path_factory.mktemp("clients") / "state",
        {
            "API_KEY": TEXT_KEY,
            "INCOMING_AUTH_TOKEN": NODE_TOKEN,
            "GPU_NODE_ID": NODE,
            "RESULT_CALLBACK_URL": assets.result_url,
            "RESULT_CALLBACK_AUTH_TOKEN": ASSET_TOKEN,
            "JOB_COMPLETE_CALLBACK_URL": assets.base_url,
            "LOAD_BALANCER_AUTH_TOKEN": BALANCER_TOKEN,
            "ROOT_PATH": "/galaxy/gpu",
            "GAVID_METRICS_UPDATE_INTERVAL_S": "0.5",
            "PENTAD_IOT__VARIANTS": "false",  # a sixth of the work
            "PENTAD_SERVICES": json.dumps([*EXPORTED, "lipsync"]),
            "PENTAD_LIPSYNC__WATCH_FOLDER": str(tenants),
        },
    )
    try:
        running.start()
        yield Old(running, assets, "sanders")
        running.stop()
    finally:
        running.kill()
        assets.stop()


def picture(path: str) -> bytes:
    """A picture of the project's documentation."""
    return (ROOT / "docs" / "pictures" / path).read_bytes()
