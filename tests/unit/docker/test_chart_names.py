"""Every name that the chart uses is one that the images know."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.settings import ConfigError, load_settings
from launcher.container import __main__ as container_commands
from launcher.layout import find_wheel
from launcher.options import command_line, options_from
from tests.support.chart import CHART, of_kind, rendered
from tests.support.chart_policies import PROBES, containers, lasting
from tests.support.containers import DOCKER, ROOT, stages
from tests.unit.docker.test_chart_policies import ALL

SECRETS = "/run/secrets/"
FOREIGN = {"CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"}
"""Variables that are CUDA's."""
DOCUMENTED = {"triton.crt", "triton.key", "client-keys.yaml", "database-url", "metrics.key"}


@pytest.fixture(scope="module", params=ALL.values(), ids=ALL)
def manifests(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return rendered(request.param)


@pytest.fixture
def configuration(manifests: list[dict[str, Any]], tmp_path: Path) -> Path:
    (manifests,) = of_kind(manifests, "ConfigMap").values()
    file = tmp_path / "config.yaml"
    file.write_text(manifests["data"]["config.yaml"])
    return file


def _value(variable: dict[str, Any]) -> str:
    """What the variable may hold; of a secret, something of the right kind."""
    return str(variable.get("value", "postgresql+psycopg://u:p@db/pentad"))


def test_variables_are_settings(manifests: list[dict[str, Any]], configuration: Path) -> None:
    for name, container, _ in containers(manifests):
        for variable in container.get("env", []):
            if variable["name"] in FOREIGN:
                continue
            assert variable["name"].startswith("PENTAD_"), name
            load_settings(configuration, {variable["name"]: _value(variable)})
            with pytest.raises(ConfigError):
                load_settings(configuration, {f"{variable['name']}S": _value(variable)})


def test_ports_are_listened_at(manifests: list[dict[str, Any]], configuration: Path) -> None:
    settings = load_settings(configuration, {"PENTAD_SERVICES": json.dumps(
        ["iot", "lipsync", "text", "tryon", "vision"])})  # fmt: skip
    gateway = {service.port for service in (settings.iot, settings.text, settings.vision,
               settings.lipsync, settings.tryon)} | {settings.server.port}  # fmt: skip
    arguments = command_line(
        options_from(settings, "default"), find_wheel(), configuration.parent, "prefix-", {}
    )
    triton = {int(item) for text in arguments
              for item in re.findall(r"^--(?:grpc|metrics)-port=(\d+)$", text)}  # fmt: skip
    for name, container, _ in lasting(manifests):
        ports = {port["containerPort"] for port in container["ports"]}
        assert ports == (triton if container["name"] == "triton" else gateway), name


def test_probes_ask_for_what_is_there(manifests: list[dict[str, Any]]) -> None:
    paths = json.loads((ROOT / "dashboard" / "openapi.json").read_text())["paths"]
    for name, container, _ in lasting(manifests):
        asked = {container[kind]["httpGet"]["path"] for kind in PROBES}
        if container["name"] == "triton":
            assert asked == {"/metrics"}, name  # all that its metrics port has
        else:
            assert asked == {"/healthz", "/readyz"} <= paths.keys(), name
    for monitor in of_kind(manifests, "PodMonitor").values():
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        assert endpoint["port"] == "metrics" or endpoint["path"] in paths


def test_commands_are_those_of_the_images(manifests: list[dict[str, Any]]) -> None:
    parsed = ast.parse(Path(container_commands.__file__).read_text())
    known = {
        node.args[0].value
        for node in ast.walk(parsed)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "add_parser"
        and isinstance(node.args[0], ast.Constant)
    }
    (entry,) = {
        text for stage in stages(DOCKER / "triton.Dockerfile") for text in stage.all("ENTRYPOINT")
    }
    assert "launcher.container" in entry
    for name, container, _ in containers(manifests):
        if container["name"] in ("triton", "models"):
            assert set(container["args"]) < known, name
        else:
            assert not {"args", "command"} & container.keys(), name  # as the image says


def test_keys_of_the_secret_are_the_documented_ones(
    manifests: list[dict[str, Any]], configuration: Path
) -> None:
    text = configuration.read_text()
    used = set(re.findall(rf"{SECRETS}([\w.-]+)", text))
    mounts = [mount["mountPath"] for _, item, _ in containers(manifests)
              for mount in item["volumeMounts"] if mount["name"] == "secrets"]  # fmt: skip
    assert {f"{mount}/" for mount in mounts} == {SECRETS}
    for _, container, _ in containers(manifests):
        for variable in container.get("env", []):
            if "valueFrom" in variable:
                used.add(variable["valueFrom"]["secretKeyRef"]["key"])
    for monitor in of_kind(manifests, "PodMonitor").values():
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        if "authorization" in endpoint:
            used.add(endpoint["authorization"]["credentials"]["key"])
    assert {"triton.crt", "triton.key", "client-keys.yaml"} <= used <= DOCUMENTED


def test_documented_keys_are_documented() -> None:
    head = (CHART / "values.yaml").read_text().partition("existingSecret: pentad")[0]
    assert {item for item in re.findall(r"`([\w.-]+)`", head) if "." in item or "-" in item} == (
        DOCUMENTED
    )
    page = (ROOT / "docs" / "operations" / "deploy.md").read_text()
    for key in DOCUMENTED:
        assert f"/{key}" in page or f"`{key}`" in page


def test_folders_are_those_of_the_configuration(
    manifests: list[dict[str, Any]], configuration: Path
) -> None:
    settings = load_settings(configuration, {})
    paths = settings.paths
    written = {str(item) for item in (paths.repository, paths.state, paths.plans)}
    for name, container, _ in containers(manifests):
        places = {mount["mountPath"] for mount in container["volumeMounts"]}
        wanted = written if container["name"] != "gateway" else {str(paths.state)}
        assert wanted <= places, name
        assert "/tmp" in places, name


def test_a_newer_triton_is_one_pool_s_alone() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    (pool,) = values["nodePools"]
    newer = {**pool, "name": "newer", "tag": "26.04-1"}
    manifests = rendered(
        {"nodePools": [pool, newer], "image": {"registry": "r.example", "tag": "9"}}
    )
    images = {
        name: {
            item["image"] for item in (*pod["spec"]["initContainers"], *pod["spec"]["containers"])
        }
        for name, pod in (
            (name, item["spec"]["template"])
            for name, item in of_kind(manifests, "StatefulSet").items()
        )
    }
    assert images == {
        "demo-triton-gpu": {"r.example/pentad-triton:9"},
        "demo-triton-newer": {"r.example/pentad-triton:26.04-1"},
    }
