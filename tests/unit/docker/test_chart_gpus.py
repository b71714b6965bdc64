"""Where the chart's gateways read the GPUs: from the Tritons that they call."""

from __future__ import annotations

from pathlib import Path

from gateway.settings import load_settings
from tests.support.chart import containers, of_kind, rendered


def test_gateways_may_read_the_gpu_figures_of_the_tritons() -> None:
    found = rendered({})
    policy = of_kind(found, "NetworkPolicy")["demo-triton"]
    first = policy["spec"]["ingress"][0]
    assert first["from"][0]["podSelector"]["matchLabels"]["pentad/serves"] == "common"
    (service,) = (one for name, one in of_kind(found, "Service").items() if name == "demo-triton")
    assert service["spec"]["clusterIP"] == "None", "each Triton has an address of its own"
    ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    assert {ports["grpc"], ports["metrics"]} == {one["port"] for one in first["ports"]}


def test_an_operator_may_read_the_gpus_elsewhere(tmp_path: Path) -> None:
    own = {"triton": {"metrics_url": "http://m/x"}, "telemetry": {"gpu": {"source": "dcgm"}}}
    found = rendered({"config": own})
    (configuration,) = of_kind(found, "ConfigMap").values()
    file = tmp_path / "config.yaml"
    file.write_text(configuration["data"]["config.yaml"])
    for _, container in containers(found):
        names = {one["name"] for one in container.get("env", [])}
        assert "PENTAD_TRITON__METRICS_URL" not in names
    settings = load_settings(file, {})
    assert settings.triton.metrics_urls == ("http://m/x",)
    assert settings.telemetry.gpu.source == "dcgm"
