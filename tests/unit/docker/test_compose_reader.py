"""The reader that `make test-containers` brings the compose files up with, without containers."""

from __future__ import annotations

import itertools
import resource
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support.compose_project import ComposeProject, allowed
from tests.support.container_engine import Engine
from tests.support.containers import COMPOSE, DOCKER
from tests.support.package_indexes import local_paths

CPU = DOCKER / "compose.cpu.yaml"


@pytest.fixture(autouse=True)
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would be mounted; nothing is, and an engine's folder is the test's; no limits here."""
    made: list[list[str]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (0, resource.RLIM_INFINITY))
    monkeypatch.setattr(subprocess, "run", lambda command, check: made.append(command))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return made


class Recorder(Engine):
    """An engine that writes command lines down instead of running them."""

    def __post_init__(self) -> None:
        self.ran: list[list[str]] = []
        self.run_folder = Path(tempfile.mkdtemp())

    def podman(self, *args: str, check: bool = True, seconds: float = 300) -> str:
        self.ran.append(list(args))
        return "0"

    def image(self, tag: str) -> dict[str, object]:
        return {"Id": tag}

    def run_podman(self, *args: str, seconds: float = 300):  # type: ignore[no-untyped-def]
        missing = args[1:2] == ("exists",)
        return type("Done", (), {"returncode": int(missing), "stdout": "", "stderr": ""})()


def project(path: Path, **more: object) -> ComposeProject:
    return ComposeProject(Recorder(), path, {"PENTAD_BIND": "127.77.0.1"}, **more)  # type: ignore[arg-type]


def run_of(made: ComposeProject, service: str) -> list[str]:
    """Return the command line that a service was started with."""
    made.up()
    ran = made.engine.ran  # type: ignore[attr-defined]
    return next(args for args in ran if made.container(service) in args and args[0] == "run")


def test_services_start_after_what_they_wait_for() -> None:
    assert project(CPU).order() == ["models", "triton", "gateway"]
    order = project(CPU, profiles=("postgres",)).order()
    assert order.index("postgres") < order.index("gateway")


def test_a_service_is_run_as_the_file_says() -> None:
    args = run_of(project(CPU), "gateway")
    for wanted in (
        "--read-only", "--tmpfs=/tmp", "--publish=127.77.0.1:9000:9000", "--cap-drop=ALL",
        "--security-opt=no-new-privileges", "--restart=unless-stopped", "--stop-timeout=30",
        "--volume=pentad_models:/models:ro",
        f"--volume={DOCKER}/secrets/client-keys.yaml:/run/secrets/client-keys.yaml:ro",
        "--env=PENTAD_LIPSYNC__TRANSPORT=shared_memory", "nofile=65536:65536",
    ):  # fmt: skip
        assert wanted in args
    assert not [arg for arg in args if arg.startswith("--env=PENTAD_SERVICES")], "nobody set it"
    assert args[-1] == "pentad-gateway:0.1.0"


def test_an_operator_s_lines_come_after_the_file_s() -> None:
    more = {"gateway": {"PENTAD_LIPSYNC__TRANSPORT": "grpc", "PENTAD_TRYON__JOBS__QUEUE_SIZE": "9"}}
    args = run_of(project(CPU, environment=more), "gateway")
    assert {arg for arg in args if arg.startswith("--env=")} == {
        "--env=PENTAD_LIPSYNC__TRANSPORT=grpc", "--env=PENTAD_TRYON__JOBS__QUEUE_SIZE=9",
    }  # fmt: skip


def test_a_volume_in_memory_is_mounted_with_its_options(mounts: list[list[str]]) -> None:
    made = project(CPU)
    args = run_of(made, "triton")
    place = f"{made.engine.run_folder}/volumes/pentad_socket"
    (socket,) = (command for command in mounts if command[-1] == place)
    assert socket[:3] == ["mount", "-t", "tmpfs"]
    assert "size=1m,mode=0700,uid=1000,gid=1000,nosuid,nodev,noexec" in socket
    assert f"--volume={place}:/run/pentad" in args


def test_what_the_reader_does_not_know_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services:\n  a: {image: x, network_mode: host}\n")
    with pytest.raises(ValueError, match="network_mode"):
        project(file)
    file.write_text("services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, profiles: [c]}\n")
    with pytest.raises(ValueError, match="profile"):
        project(file).order()


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_all_that_runs_without_a_gpu_is_known(path: Path) -> None:
    if path == CPU:
        profiles = ("postgres", "monitoring", "tracing")
        made = project(path, profiles=profiles)
        assert made.services.keys() == made.content["services"].keys()
    else:
        with pytest.raises(ValueError, match="deploy"):
            project(path)


def test_folders_that_pip_is_pointed_at_are_mounted(tmp_path: Path) -> None:
    for name in ("index/simple", "wheels/more"):
        (tmp_path / name).mkdir(parents=True)
    authority = tmp_path / "authority.pem"
    authority.touch()
    settings = {
        "extra-index-url": f"https://index.example/simple file://{tmp_path}/index/simple",
        "find-links": f"{tmp_path}/wheels {tmp_path}/wheels/more {tmp_path}/gone",
        "cert": str(authority),
        "timeout": "60",
    }
    wanted = {tmp_path / "index", tmp_path / "wheels", authority}
    assert local_paths(settings) == set(map(str, wanted))
    pairs = itertools.combinations(local_paths(settings), 2)
    assert not [pair for pair in pairs if pair[1].startswith(pair[0] + "/")]


def test_limits_are_the_file_s_as_far_as_this_process_may(monkeypatch: pytest.MonkeyPatch) -> None:
    hard = {resource.RLIMIT_NOFILE: 20_000, resource.RLIMIT_MEMLOCK: 8 << 20}
    infinity = resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (0, hard.get(kind, infinity)))
    assert [allowed("nofile", number) for number in (1024, 65536)] == [1024, 20_000]
    assert [allowed("memlock", -1), allowed("stack", -1)] == [8 << 20, -1]
    made = project(CPU)
    assert made.lowered() == [
        "triton: memlock 8388608 instead of -1",
        "triton: nofile 20000 instead of 65536",
        "gateway: nofile 20000 instead of 65536",
    ]
    args = run_of(made, "triton")
    assert {"nofile=20000:20000", "memlock=8388608:8388608", "stack=67108864:67108864"} <= set(args)
