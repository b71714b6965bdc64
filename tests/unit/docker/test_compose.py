"""The compose files: schema, and agreement with configuration, Dockerfiles and locks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.http.server.listener import MOST, connections_per_listener
from gateway.settings import Settings, load_settings
from gateway.settings.socket_file import socket_file
from gateway.telemetry.gpu import gpu_source
from gateway.telemetry.gpu.selection import SelectedSource
from gateway.telemetry.gpu.triton import TritonSource
from launcher.container.__main__ import SOURCE
from launcher.server import GRACE_SECONDS
from launcher.shm_budget import MIB, container_bytes
from tests.support.containers import COMPOSE, DOCKER, ROOT, compose, stages, versions


def named(path: Path) -> str:
    return path.name


@pytest.fixture(params=COMPOSE, ids=named)
def stack(request: pytest.FixtureRequest) -> dict[str, Any]:
    return compose(request.param)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(DOCKER / "config.yaml", {})


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


@pytest.mark.parametrize("path", COMPOSE, ids=named)
def test_the_schema_of_compose_holds(path: Path) -> None:
    schemas = pytest.importorskip(
        "check_jsonschema.builtin_schemas", reason="check-jsonschema (PyPI) is not installed"
    )
    jsonschema = pytest.importorskip("jsonschema")
    schema = schemas.get_builtin_schema("vendor.compose-spec")
    content = json.loads(json.dumps(compose(path)))
    errors = list(jsonschema.Draft7Validator(schema).iter_errors(content))
    assert not errors, errors[0].message


def test_all_variables_have_values(stack: dict[str, Any]) -> None:
    assert "$" not in yaml.safe_dump(stack)


@pytest.mark.parametrize("path", COMPOSE, ids=named)
def test_images_have_no_version_of_their_own(path: Path) -> None:
    for image in re.findall(r"^\s+image: (\S+)", path.read_text(), re.M):
        assert re.search(r":\$\{\w+_TAG\b", image), image


def test_builds_name_files_targets_and_arguments_that_exist(stack: dict[str, Any]) -> None:
    for service in stack["services"].values():
        if not (build := service.get("build")):
            continue
        dockerfile = ROOT / build["dockerfile"]
        assert dockerfile.is_file()
        if target := build.get("target"):
            assert target in {stage.name for stage in stages(dockerfile)}
        declared = set(re.findall(r"^ARG (\w+)", dockerfile.read_text(), re.M))
        assert set(build["args"]) <= declared
        without = set(re.findall(r"^ARG (\w+)$", dockerfile.read_text(), re.M))
        assert without <= set(build["args"]), "an argument without default is not given"


def test_mounted_files_are_there(stack: dict[str, Any]) -> None:
    for config in stack["configs"].values():
        assert (DOCKER / config["file"]).is_file(), config
    for name, secret in stack["secrets"].items():
        assert Path(secret["file"]).parent == Path("secrets"), f"{name} could be committed"
    for service in stack["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in stack["volumes"] or (DOCKER / source).exists(), volume
        for secret in service.get("secrets", []):
            assert secret in stack["secrets"]
        for config in service.get("configs", []):
            assert config["source"] in stack["configs"]


def test_shared_memory_is_what_the_embedded_check_computes(settings: Settings) -> None:
    needed = container_bytes(SOURCE, settings.lipsync.shared_memory_mb * MIB)
    assert versions()["TRITON_SHM_SIZE"] == f"{needed // MIB}m"
    for path in COMPOSE:
        stack = compose(path)
        options = stack["volumes"]["shm"]["driver_opts"]
        assert options["type"] == "tmpfs"
        assert f"size={versions()['TRITON_SHM_SIZE']},mode=1777" in options["o"]
        for name in ("triton", "gateway"):
            # Without nocopy the image's folder would give it its mode.
            assert "shm:/dev/shm:nocopy" in stack["services"][name]["volumes"]


def test_no_container_lives_in_another_one(stack: dict[str, Any]) -> None:
    """Docker does not start such a container again while the other one is down, as after a boot,
    and leaves it with the old memory when the other one was started anew."""
    for service in stack["services"].values():
        for key in ("ipc", "pid", "network_mode"):
            assert not str(service.get(key, "")).startswith(("service:", "container:"))


def test_an_image_is_built_once(stack: dict[str, Any]) -> None:
    """Two builds at a time that give an image the same name fail ("already exists")."""
    built = [one["image"] for one in stack["services"].values() if "build" in one]
    assert len(built) == len(set(built)) == 2
    for service in stack["services"].values():
        assert service["image"] in built or not service["image"].startswith("pentad-")


def test_triton_s_containers_have_a_first_process_that_reaps(stack: dict[str, Any]) -> None:
    for service in stack["services"].values():
        if service["image"].startswith("pentad-triton"):
            assert service["init"] is True


def test_the_gateway_drains_before_triton_ends(stack: dict[str, Any], settings: Settings) -> None:
    services = stack["services"]
    assert services["gateway"]["depends_on"] == {
        "triton": {"condition": "service_healthy"},
        "postgres": {"condition": "service_healthy", "required": False},
    }
    assert services["triton"]["depends_on"]["models"]["condition"] == (
        "service_completed_successfully"
    )
    assert seconds(services["gateway"]["stop_grace_period"]) >= settings.server.drain_seconds + 5
    needed = settings.embedded.exit_timeout_seconds + GRACE_SECONDS
    assert seconds(services["triton"]["stop_grace_period"]) >= needed


def test_every_port_of_an_old_server_is_published(
    stack: dict[str, Any], settings: Settings
) -> None:
    wanted = {settings.server.port, settings.lipsync.port, settings.tryon.port}
    wanted |= {settings.text.port, settings.vision.port, settings.iot.port}
    published = {int(port.split(":")[-1]) for port in stack["services"]["gateway"]["ports"]}
    assert published == wanted
    (gateway,) = [stages(path)[-1] for path in DOCKER.glob("gateway.Dockerfile")]
    assert {int(port) for port in gateway.all("EXPOSE")[0].split()} == wanted
    for port in stack["services"]["gateway"]["ports"]:
        assert port.startswith("127.0.0.1:"), "open to the network only where the operator says so"


def test_all_services_are_on_unless_the_operator_chooses(
    stack: dict[str, Any], settings: Settings
) -> None:
    assert settings.services == Settings.model_fields["services"].default
    for name in ("models", "triton", "gateway"):
        # Without a value Compose hands on the operator's, and nothing where there is none.
        assert stack["services"][name]["environment"].get("PENTAD_SERVICES", "") is None


def test_triton_is_not_published(stack: dict[str, Any], settings: Settings) -> None:
    assert "ports" not in stack["services"]["triton"]
    assert settings.embedded.grpc_port is None
    assert settings.embedded.http_port is None
    file = socket_file(settings.triton.urls[0])
    assert file is not None
    options = stack["volumes"]["socket"]["driver_opts"]["o"]
    assert {"mode=0700", "uid=1000", "gid=1000"} <= set(options.split(","))
    for name in ("triton", "gateway"):
        assert f"socket:{file.parent}:nocopy" in stack["services"][name]["volumes"]
    assert settings.triton.metrics_url == f"http://triton:{settings.embedded.metrics_port}/metrics"


@pytest.mark.parametrize(("path", "source"), [(COMPOSE[0], "triton"), (COMPOSE[1], "auto")])
def test_the_gpu_page_shows_tritons_gpus_and_invents_none_beside_them(
    path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = compose(path)["services"]["gateway"]
    gpus = "deploy" in compose(path)["services"]["triton"]
    assert gpus == (source == "triton")
    for name, value in gateway["environment"].items():
        if "TELEMETRY" in name and value is not None:
            monkeypatch.setenv(name, value)
    settings = load_settings(DOCKER / "config.yaml")
    assert settings.telemetry.gpu.source == source
    assert "deploy" not in gateway, "without a driver: Triton tells what it has"
    assert isinstance(gpu_source(settings), TritonSource if gpus else SelectedSource)


def test_secrets_reach_the_files_that_the_configuration_names(
    stack: dict[str, Any], settings: Settings
) -> None:
    files = {str(settings.security.keys_file)}
    given = {f"/run/secrets/{name}" for name in stack["services"]["gateway"]["secrets"]}
    assert files == given
    assert "secrets" not in stack["services"]["triton"]


def test_the_gateway_runs_with_a_read_only_root(stack: dict[str, Any], settings: Settings) -> None:
    gateway = stack["services"]["gateway"]
    assert gateway["read_only"] is True
    writable = [entry.split(":")[1] for entry in gateway["volumes"] if not entry.endswith(":ro")]
    assert str(settings.paths.state) in writable
    assert str(settings.paths.cache).startswith(str(settings.paths.state))


def test_folders_of_the_configuration_are_volumes(
    stack: dict[str, Any], settings: Settings
) -> None:
    mounted = {entry.split(":")[1] for entry in stack["services"]["triton"]["volumes"]}
    assert {str(settings.paths.repository), str(settings.paths.state)} <= mounted
    assert {str(settings.lipsync.blob_folder), settings.lipsync.models_root} <= mounted


def test_environment_variables_name_settings(stack: dict[str, Any]) -> None:
    for name in ("models", "triton", "gateway"):
        variables = stack["services"][name]["environment"]
        given = {key: str(value) for key, value in variables.items() if value is not None}
        load_settings(DOCKER / "config.yaml", given)
        known = {key: "null" for key in variables if key.startswith("PENTAD_")}
        load_settings(DOCKER / "config.yaml", known)


def test_prometheus_in_the_stack_scrapes_what_the_other_configuration_scrapes(
    stack: dict[str, Any],
) -> None:
    inside = yaml.safe_load((DOCKER / "prometheus" / "compose.yml").read_text())
    local = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text())
    assert inside["global"] == local["global"]
    assert inside["rule_files"] == local["rule_files"]
    jobs = {job["job_name"] for job in inside["scrape_configs"]}
    assert {job["job_name"] for job in local["scrape_configs"]} <= jobs
    for job in inside["scrape_configs"]:
        for target in job.get("static_configs", []):
            for address in target["targets"]:
                assert address.split(":")[0] in stack["services"]


def test_the_gateway_has_descriptors_for_all_its_connections(stack: dict[str, Any]) -> None:
    limit = stack["services"]["gateway"]["ulimits"]["nofile"]
    assert limit["soft"] == limit["hard"]
    ports = [port for port in stack["services"]["gateway"]["ports"] if ":3000" not in port]
    assert connections_per_listener(limit["hard"], len(ports)) == MOST
