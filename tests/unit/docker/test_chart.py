"""The Helm chart, rendered by Helm's own library and checked against Kubernetes' schemas."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.services import registry
from gateway.settings import ConfigError, load_settings
from gateway.telemetry.gpu import gpu_source
from gateway.telemetry.gpu.triton import TritonSource
from launcher.layout import find_wheel
from launcher.options import command_line, options_from
from tests.support.chart import CHART, COMMON, LIPSYNC, containers, helm, of_kind, rendered
from tests.support.containers import DOCKER, ROOT, stages, versions

CUSTOM = ("ScaledObject", "PodMonitor")  # no schema: they are not Kubernetes' own
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "keda": {"gateway": {"autoscaling": {"provider": "keda"}}},
    "fixed": {"gateway": {"autoscaling": {"enabled": False}, "replicas": 0}},
    "tryon": {"services": ["text", "tryon"], "serviceMonitor": {"enabled": True}},
    "lipsync": {"nodePools": [LIPSYNC], "serviceMonitor": {"enabled": True}},
    "pools": {
        "nodePools": [
            COMMON,
            {**COMMON, "name": "large", "gpus": 8, "runtimeClass": "nvidia"},
            LIPSYNC,
        ],
        "services": ["text"],
        "existingSecret": "mine",
        "config": {"server": {"drain_seconds": 90}},
        "gateway": {"env": [{"name": "PENTAD_TELEMETRY__OTLP_ENDPOINT", "value": "http://o:4318"}]},
    },
    "open": {"networkPolicy": {"enabled": False}, "image": {"registry": "r.example", "tag": "9"}},
}


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def manifests(variant: str) -> list[dict[str, Any]]:
    return rendered(VARIANTS[variant])


def test_helm_lint_has_no_complaint() -> None:
    found = helm.lint(str(CHART))
    assert not found["errors"]
    assert [item["error"] for item in found["messages"]] == ["icon is recommended"]


def test_kubernetes_takes_every_manifest(variant: str, manifests: list[dict[str, Any]]) -> None:
    # Imported here: reading it takes seconds, in every process that collects the tests.
    schemas = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed"
    )
    checked = set()
    for manifest in manifests:
        if manifest["kind"] not in CUSTOM:
            schemas.validate(manifest, "1.31", strict=True)
            checked.add(manifest["kind"])
    common = {"ConfigMap", "PodDisruptionBudget", "Service", "StatefulSet"}
    # Lip-sync's gateway runs beside its Triton: it has no pods of its own.
    assert checked >= (common if variant == "lipsync" else common | {"Deployment"})


def test_the_chart_knows_every_service_of_the_registry() -> None:
    """Lip-sync is given with pools of nodes of its own, the others with `services`."""
    properties = json.loads((CHART / "values.schema.json").read_text("utf-8"))["properties"]
    pool = properties["nodePools"]["items"]["properties"]
    named = set(properties["services"]["items"]["enum"])
    assert named | (pool.keys() & registry.SERVICES.keys()) == registry.SERVICES.keys()
    assert "lipsync" not in named


@pytest.mark.parametrize(
    "values",
    [
        {"existingSecret": ""},
        {"services": ["lipsync"]},
        {"image": {"tag": "latest"}},
        {"gateway": {"replica": 3}},
        {"nodePools": []},
        {"gateway": {"autoscaling": {"provider": "cron"}}},
    ],
)
def test_wrong_values_are_refused(values: dict[str, Any]) -> None:
    with helm.Chart.load(str(CHART)) as chart:
        merged = chart.merge_values(values)
        with pytest.raises(helm.HelmError):
            chart.validate_schema(merged)


def test_names_and_selectors_agree(manifests: list[dict[str, Any]]) -> None:
    pods = [
        one["spec"]["template"]["metadata"]["labels"]
        for one in manifests
        if one["kind"] in ("Deployment", "StatefulSet")
    ]
    for manifest in manifests:
        wanted = manifest["spec"].get("selector") if "spec" in manifest else None
        if manifest["kind"] in ("Service", "PodDisruptionBudget", "Deployment", "StatefulSet"):
            labels = (wanted or {}).get("matchLabels", wanted)
            matching = [pod for pod in pods if labels.items() <= pod.items()]
            assert matching, manifest["metadata"]["name"]
    targets = of_kind(manifests, "HorizontalPodAutoscaler") | of_kind(manifests, "ScaledObject")
    for one in targets.values():
        assert one["spec"]["scaleTargetRef"]["name"] in of_kind(manifests, "Deployment")


def test_ports_of_services_exist_on_the_pods(manifests: list[dict[str, Any]]) -> None:
    for service in of_kind(manifests, "Service").values():
        for manifest in manifests:
            if manifest["kind"] not in ("Deployment", "StatefulSet"):
                continue
            pod = manifest["spec"]["template"]
            if not service["spec"]["selector"].items() <= pod["metadata"]["labels"].items():
                continue
            ports = {
                port["name"] for one in pod["spec"]["containers"] for port in one.get("ports", [])
            }
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
            assert all(len(name) <= 15 for name in ports)


def test_ports_are_those_of_the_configuration() -> None:
    settings = load_settings(DOCKER / "config.yaml", {})
    (gateway,) = [one for _, one in containers(rendered({})) if one["name"] == "gateway"][:1]
    ports = {port["name"]: port["containerPort"] for port in gateway["ports"]}
    assert ports == {
        "http": settings.server.port, "iot": settings.iot.port, "tryon": settings.tryon.port,
        "vision": settings.vision.port, "text": settings.text.port,
        "lipsync": settings.lipsync.port,
    }  # fmt: skip


def test_every_container_is_confined(manifests: list[dict[str, Any]]) -> None:
    for pod, container in containers(manifests):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        volumes = {volume["name"] for volume in pod["volumes"]} | {"data"}
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_secrets_come_from_the_named_secret_alone(
    manifests: list[dict[str, Any]], variant: str
) -> None:
    assert not of_kind(manifests, "Secret")
    for pod, container in containers(manifests):
        secrets = [one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one]
        assert secrets == [VARIANTS[variant].get("existingSecret", "pentad")]
        for variable in container.get("env", []):
            assert not re.search("KEY|TOKEN|PASSWORD", variable["name"])


def test_the_configuration_is_valid_with_the_variables_of_each_container(
    manifests: list[dict[str, Any]], tmp_path: Path
) -> None:
    (configuration,) = of_kind(manifests, "ConfigMap").values()
    file = tmp_path / "config.yaml"
    file.write_text(configuration["data"]["config.yaml"])
    assert load_settings(file, {}).triton.metrics_url is None
    for _, container in containers(manifests):
        plain = {one["name"]: one["value"] for one in container.get("env", []) if "value" in one}
        load_settings(file, plain)


def test_one_gateway_controls_each_triton(
    manifests: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "config.yaml"
    (configuration,) = of_kind(manifests, "ConfigMap").values()
    file.write_text(configuration["data"]["config.yaml"])
    deployments = of_kind(manifests, "Deployment")

    def configured(manifest: dict[str, Any]) -> Any:
        (gateway,) = [
            one
            for one in manifest["spec"]["template"]["spec"]["containers"]
            if one["name"] == "gateway"
        ]
        with monkeypatch.context() as patch:
            for one in gateway["env"]:
                if "value" in one:
                    patch.setenv(one["name"], one["value"])
            return load_settings(file)

    if deployments:
        assert deployments["demo-controller"]["spec"]["replicas"] == 1
        assert deployments["demo-controller"]["spec"]["strategy"] == {"type": "Recreate"}
        controller = configured(deployments["demo-controller"])
        assert controller.triton.control is True
        assert controller.triton.url == "dns:///demo-triton.prod.svc:8001"
        assert configured(deployments["demo-gateway"]).triton.control is False
        assert controller.triton.metrics_urls == ("http://demo-triton.prod.svc:8002/metrics",)
        assert isinstance(gpu_source(controller), TritonSource)
    for pool in of_kind(manifests, "StatefulSet").values():
        names = [one["name"] for one in pool["spec"]["template"]["spec"]["containers"]]
        if "gateway" in names:
            beside = configured(pool)
            assert beside.services == ["lipsync"]
            assert beside.triton.url == "127.0.0.1:8001"
            assert beside.triton.control is True
            assert beside.triton.metrics_urls == ("http://127.0.0.1:8002/metrics",)
            assert isinstance(gpu_source(beside), TritonSource)


def test_termination_leaves_time_to_drain(manifests: list[dict[str, Any]], tmp_path: Path) -> None:
    (configuration,) = of_kind(manifests, "ConfigMap").values()
    file = tmp_path / "config.yaml"
    file.write_text(configuration["data"]["config.yaml"])
    settings = load_settings(file, {})

    def leaving(container: dict[str, Any]) -> int:
        found = re.search(r"sleep\((\d+)\)", str(container["lifecycle"]))
        assert found, container["name"]
        return int(found.group(1))

    for pod, container in containers(manifests):
        grace = pod["terminationGracePeriodSeconds"]
        if container["name"] == "gateway":
            drained = leaving(container) + settings.server.drain_seconds
            assert grace >= drained + 5
            # A Triton in the same pod is told at the same time.
            for beside in pod["containers"]:
                assert beside["name"] != "triton" or leaving(beside) >= drained
        elif container["name"] == "triton":
            # The gateways have looked the addresses up again, and what was under way has ended.
            assert leaving(container) > settings.health.canary_interval_seconds
            assert grace >= leaving(container) + settings.embedded.exit_timeout_seconds + 4


def test_a_service_s_name_makes_no_settings(manifests: list[dict[str, Any]]) -> None:
    """Kubernetes describes a Service `pentad` by variables PENTAD_*, which Pentad would refuse."""
    with pytest.raises(ConfigError, match="PENTAD_SERVICE_HOST"):
        load_settings(DOCKER / "config.yaml", {"PENTAD_SERVICE_HOST": "10.0.0.1"})
    for pod, _ in containers(manifests):
        assert pod["enableServiceLinks"] is False


def test_triton_and_its_exporter_have_the_services_of_their_gateways(
    manifests: list[dict[str, Any]], variant: str
) -> None:
    wanted = VARIANTS[variant].get("services", ["iot", "text", "vision"])
    for pod, container in containers(manifests):
        beside = any(one["name"] == "triton" for one in pod["containers"])
        named = {one["name"]: one.get("value") for one in container["env"]}
        lipsync = beside and len(pod["containers"]) == 2
        assert json.loads(str(named["PENTAD_SERVICES"])) == (["lipsync"] if lipsync else wanted)


def test_long_names_fit() -> None:
    """Pods carry the StatefulSet's name and a hash in a label: 63 characters less 11."""
    pools = [{**LIPSYNC, "name": "a" * 16}, {**COMMON, "name": "b" * 16}]
    found = rendered({"nodePools": pools}, "r" * 53)
    for name in of_kind(found, "StatefulSet"):
        assert len(name) <= 52
    assert all(len(one["metadata"]["name"]) <= 63 for one in found)


def test_pools_for_lipsync_alone_leave_no_gateway_that_waits_for_ever() -> None:
    found = rendered(VARIANTS["lipsync"])
    assert not of_kind(found, "Deployment")
    assert not of_kind(found, "HorizontalPodAutoscaler")
    assert list(of_kind(found, "Service")) == ["demo-triton", "demo-lipsync-talk"]
    assert not of_kind(rendered({"nodePools": [LIPSYNC], **VARIANTS["keda"]}), "ScaledObject")


def test_every_pod_is_scraped_under_the_names_that_the_alerts_know() -> None:
    alerts = (DOCKER / "prometheus" / "alerts.yml").read_text()
    for variant in ("tryon", "lipsync"):
        found = rendered(VARIANTS[variant])
        scraped = []
        for monitor in of_kind(found, "PodMonitor").values():
            (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
            (rule,) = endpoint["relabelings"]
            assert f'job="{rule["replacement"]}"' in alerts
            scraped.append(endpoint["port"])
        assert scraped == ["http", "metrics"]
        ports = {port["name"] for _, one in containers(found) for port in one.get("ports", [])}
        assert set(scraped) <= ports


def test_an_update_waits_until_models_are_loaded(manifests: list[dict[str, Any]]) -> None:
    """A Triton answers, hence is ready, before it has models; a gateway beside it knows better."""
    for pool in of_kind(manifests, "StatefulSet").values():
        names = [one["name"] for one in pool["spec"]["template"]["spec"]["containers"]]
        waits = pool["spec"].get("minReadySeconds", 0)
        assert waits == 0 if "gateway" in names else waits >= 300


def test_readiness_is_the_canaries(manifests: list[dict[str, Any]]) -> None:
    for _, container in containers(manifests):
        if container["name"] == "gateway":
            assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
            assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_triton_takes_no_one_without_the_certificate(
    manifests: list[dict[str, Any]], tmp_path: Path
) -> None:
    (configuration,) = of_kind(manifests, "ConfigMap").values()
    file = tmp_path / "config.yaml"
    file.write_text(configuration["data"]["config.yaml"])
    settings = load_settings(file, {})
    options = options_from(settings, "default")
    arguments = command_line(options, find_wheel(), tmp_path, "prefix-", {})
    assert {"--grpc-use-ssl-mutual=true", "--allow-http=false"} <= set(arguments)
    assert not [part for part in arguments if "restricted" in part]
    for _, container in containers(manifests):
        if container["name"] == "triton":
            ports = {one["name"] for one in container["ports"]}
            assert ports == {"grpc", "metrics"}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert container[probe]["httpGet"]["port"] in ports


def test_versions_are_those_of_the_images() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == versions()["PENTAD_TAG"]
    images = {one["image"] for _, one in containers(rendered({}))}
    tag = versions()["PENTAD_TAG"]
    assert images == {f"pentad-gateway:{tag}", f"pentad-triton:{tag}"}
    size = versions()["TRITON_SHM_SIZE"].removesuffix("m")
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values["nodePools"][0]["sharedMemory"] == f"{size}Mi"
    registry = {one["image"] for _, one in containers(rendered(VARIANTS["open"]))}
    assert registry == {"r.example/pentad-gateway:9", "r.example/pentad-triton:9"}


def test_the_chart_brings_the_containers_configuration() -> None:
    assert (CHART / "files" / "config.yaml").read_text() == (DOCKER / "config.yaml").read_text()


def test_mounts_cover_the_folders_that_the_images_make() -> None:
    (dockerfile,) = DOCKER.glob("triton.Dockerfile")
    made = re.findall(
        r"install -d -o 1000 -g 1000 (.*)",
        "\n".join(run for stage in stages(dockerfile) for run in stage.all("RUN")),
    )[0].split()
    (triton,) = [one for _, one in containers(rendered({})) if one["name"] == "triton"]
    assert set(made) <= {mount["mountPath"] for mount in triton["volumeMounts"]}


def test_what_is_scaled_by_exists() -> None:
    source = (ROOT / "gateway" / "telemetry" / "metrics.py").read_text()
    assert '"pentad_queue_waiting"' in source
    (hpa,) = of_kind(rendered({}), "HorizontalPodAutoscaler").values()
    assert hpa["spec"]["metrics"][0]["pods"]["metric"]["name"] == "pentad_queue_waiting"
    (scaled,) = of_kind(rendered(VARIANTS["keda"]), "ScaledObject").values()
    assert "pentad_queue_waiting{" in json.dumps(scaled)
