"""What the chart gives nodes with GPUs: time to load, volumes, a shared card."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from gateway.capacity import facts
from gateway.settings.triton import LOAD_TIMEOUTS
from tests.support import node_volume
from tests.support.chart import CHART, COMMON, LIPSYNC, of_kind, rendered
from tests.support.containers import ROOT


@pytest.mark.parametrize(
    ("pool", "config", "seconds"),
    [
        ({}, {}, 300),
        ({}, {"iot": {"emotions": {"engine": "vlm"}}}, LOAD_TIMEOUTS["vlm"]),
        ({"loadSeconds": 20}, {"iot": {"emotions": {"engine": "vlm"}}}, 20),
    ],
)
def test_an_update_waits_as_long_as_the_slowest_model_may_load(
    pool: dict[str, Any], config: dict[str, Any], seconds: float
) -> None:
    manifests = rendered({"nodePools": [{**COMMON, **pool}], "config": config})
    (found,) = of_kind(manifests, "StatefulSet").values()
    assert found["spec"]["minReadySeconds"] == seconds


def test_the_volume_holds_what_is_kept() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    asked = values["nodePools"][0]["storage"]
    needed, whole = (node_volume.gibibytes(diffusion=one) for one in (False, True))
    assert needed <= int(asked.removesuffix("Gi")) < whole
    text = (CHART / "values.yaml").read_text()
    (more,) = re.findall(r"(\d+)Gi with the diffusion engine", text)
    assert whole <= int(more) < 1.2 * whole
    page = (ROOT / "docs" / "operations" / "deploy.md").read_text()
    for size in node_volume.PARTS.values():
        assert f"| {size / 1e9:.1f} |" in page
    said = " ".join(page.split())
    assert f"{needed:.0f} GiB, with the diffusion engine {round(whole, -1):.0f};" in said
    assert (
        f"takes {facts.TENANT_ON_CPU / 1e6:.1f} MB instead of {facts.TENANT_ON_GPU / 1e6:.1f}"
        in page
    )


def test_a_pool_can_share_its_cards_by_mps() -> None:
    manifests = rendered({"nodePools": [{**COMMON, "mps": True}, LIPSYNC]})
    pods = {
        name: one["spec"]["template"]["spec"]
        for name, one in of_kind(manifests, "StatefulSet").items()
    }
    shared, plain = (
        next(pod["containers"][0] for name, pod in pods.items() if name.endswith(end))
        for end in ("gpu", "talk")
    )
    entry, *script = shared["command"]
    assert entry == "/opt/nvidia/nvidia_entrypoint.sh", "it makes older drivers work"
    assert script[:2] == ["sh", "-c"]
    assert script[2].startswith("nvidia-cuda-mps-control -d && exec python -m launcher")
    page = (ROOT / "docs" / "operations" / "gpu.md").read_text()
    (documented,) = re.findall(r"entrypoint:\n((?: +- .*\n)+)", page)
    assert yaml.safe_load(documented.replace("$$", "$")) == shared["command"]
    assert shared["args"] == plain["args"] == ["serve"]
    names = {one["name"] for one in shared["env"]}
    assert names == {"PENTAD_SERVICES", "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"}
    assert "command" not in plain
