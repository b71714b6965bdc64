"""Triton in a container: the volume's content, the command line, the shared memory."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from gateway.model_config import parameters, read_config
from gateway.privacy import SILENT
from gateway.settings import Settings, load_settings
from gateway.settings.triton import EmbeddedSettings, PathSettings, TritonSettings
from launcher import leftovers
from launcher.container import __main__ as command
from launcher.container import invocation
from launcher.container.repository_copy import link_environments, refresh
from launcher.errors import LauncherError
from launcher.shm_budget import MIB, STEP, container_bytes, needed_bytes
from tests.support.containers import DOCKER, ROOT

MODELS = ROOT / "model_repository"


def settings(state: Path, **embedded: object) -> Settings:
    return Settings(
        triton=TritonSettings(start=False, url="unix:/run/pentad/triton:8001"),
        embedded=EmbeddedSettings(host="0.0.0.0", **embedded),  # type: ignore[arg-type]
        paths=PathSettings(repository=MODELS, state=state),
    )


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Two models as an image has them."""
    for name in ("vlm", "tryon"):
        folder = tmp_path / "image" / name / "1"
        folder.mkdir(parents=True)
        (folder / "model.py").write_text("new")
        (folder / "parts").mkdir()
        (folder / "parts" / "__init__.py").touch()
        shutil.copy(MODELS / name / "config.pbtxt", folder.parent)
    return tmp_path / "image"


def test_a_new_image_replaces_code_and_keeps_artefacts(image: Path, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    refresh(image, volume)
    (volume / "vlm" / "1" / "model.py").write_text("old")
    (volume / "vlm" / "1" / "renamed_since.py").write_text("old")
    (volume / "vlm" / "configs").mkdir()
    (volume / "vlm" / "configs" / "dropped_since.pbtxt").write_text("old")
    (volume / "vlm" / "1" / "parts" / "renamed_since.py").write_text("old")
    (volume / "vlm" / "1" / "dropped_since").mkdir()
    (volume / "vlm" / "1" / "dropped_since" / "__init__.py").write_text("old")
    (volume / "vlm" / "1" / "weights.onnx").write_text("kept")
    (volume / "vlm" / "1" / "checkpoint").mkdir()
    (volume / "vlm" / "1" / "checkpoint" / "modeling.py").write_text("kept")
    refresh(image, volume)
    version = volume / "vlm" / "1"
    files = {str(path.relative_to(version)) for path in version.rglob("*") if path.is_file()}
    assert files == {"model.py", "parts/__init__.py", "weights.onnx", "checkpoint/modeling.py"}
    assert (volume / "vlm" / "1" / "model.py").read_text() == "new"
    assert not list((volume / "vlm" / "configs").iterdir())


def test_the_environments_of_the_image_are_used(image: Path, tmp_path: Path) -> None:
    volume, environments = tmp_path / "volume", tmp_path / "environments"
    refresh(image, volume)
    before = (volume / "tryon" / "config.pbtxt").read_text()
    assert link_environments(volume, "diffusers", environments) == []
    for name in ("vlm", "tryon"):
        (environments / name).mkdir(parents=True)
    assert link_environments(volume, "warp", environments) == ["vlm"]
    assert (volume / "tryon" / "config.pbtxt").read_text() == before
    refresh(image, volume)  # a second start finds its own link
    assert link_environments(volume, "diffusers", environments) == ["vlm", "tryon"]
    assert os.readlink(volume / "vlm" / "1" / "env") == str(environments / "vlm")
    config = parameters(read_config(volume / "tryon" / "config.pbtxt"))
    assert config["EXECUTION_ENV_PATH"] == str(environments / "tryon")
    assert len(config) > 20, "the model's own parameters are there too"


def test_the_link_is_where_the_config_of_vlm_looks_for_it() -> None:
    text = (MODELS / "vlm" / "config.pbtxt").read_text()
    assert '"$$TRITON_MODEL_DIRECTORY/1/env"' in text


def test_the_wheel_serves_where_nvidias_triton_is_not(tmp_path: Path) -> None:
    line, variables = invocation.invocation(settings(tmp_path, profile="openvino"))
    assert "--model-config-name=openvino" in line
    assert {"--grpc-address=unix:/run/pentad/triton", "--allow-http=false"} <= set(line)
    assert "--metrics-address=0.0.0.0" in line
    assert SILENT.items() <= variables.items()
    assert variables["PATH"].startswith(str(Path(sys.executable).parent))
    assert Path(line[0]).is_file()


@pytest.mark.parametrize(
    ("profile", "named"), [("auto", None), ("default", None), ("tensorrt", "tensorrt")]
)
def test_nvidias_triton_gets_the_same_flags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str, named: str | None
) -> None:
    nvidia = tmp_path / "tritonserver"
    nvidia.mkdir()
    monkeypatch.setattr(invocation, "lipsync_room", lambda _: {"ROOM": "as planned"})
    usual, by_the_wheel = invocation.invocation(settings(tmp_path, profile="default"))
    monkeypatch.setattr(invocation, "NVIDIA", nvidia)
    line, variables = invocation.invocation(settings(tmp_path, profile=profile))
    assert variables["ROOM"] == by_the_wheel["ROOM"] == "as planned"
    assert SILENT.items() <= variables.items()
    assert line[0] == str(nvidia / "bin" / "tritonserver")
    names = [part.partition("=")[2] for part in line if part.startswith("--model-config-name")]
    assert names == ([named] if named else [])
    differing = ("--backend-directory", "--cache-directory", "--model-config-name", "prefix-name")

    def same(parts: list[str]) -> list[str]:
        return [part for part in parts[1:] if not any(word in part for word in differing)]

    assert same(line) == same(usual)


def test_serving_starts_without_the_regions_of_a_killed_predecessor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The volume at /dev/shm outlives the process, which cannot remove them when it is killed."""
    monkeypatch.setenv("PENTAD_CONFIG", str(DOCKER / "config.yaml"))
    monkeypatch.setenv("PENTAD_TRITON__URL", f"unix:{tmp_path / 'socket'}/triton:8001")
    monkeypatch.setattr(leftovers, "SHM", tmp_path)
    monkeypatch.setattr(command, "keep_modes", lambda: kept_modes.append(True))
    alive = f"{leftovers.new_prefix()}b2"  # another Triton of this machine, outside containers
    before = leftovers.new_prefix().replace(f"-{os.getpid()}-", "-4194305-") + "c3"
    kept = {alive, "pentad-frames-7-ab-0", "else"}
    for name in {"pentad-1-7-1234-0-a1", before, *kept}:
        (tmp_path / name).touch()
    started: list[list[str]] = []
    kept_modes: list[bool] = []

    def small(repository: Path, profile: str) -> str:
        assert (str(repository), profile) == ("/models", "default")
        raise LauncherError("too little")

    monkeypatch.setattr(command, "check_shm", small)
    monkeypatch.setattr(command, "FITS", [sys.executable, "-c", ""])
    monkeypatch.setattr(command, "invocation", lambda _: (["tritonserver"], {}))
    monkeypatch.setattr(os, "execve", lambda _, line, __: started.append(line))
    assert command.main(["serve"]) == 0
    assert started == [["tritonserver"]], "a small /dev/shm is a warning"
    assert "warning: too little" in capsys.readouterr().err
    assert kept_modes == [True]
    assert stat.S_IMODE((tmp_path / "socket").stat().st_mode) == 0o700
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "socket"}


def test_shared_memory_covers_every_profile_and_device() -> None:
    one = container_bytes(MODELS, 1024 * MIB)
    assert one % STEP == 0
    profiles = ("default", "openvino", "tensorrt")
    models = max(needed_bytes(MODELS, name) for name in profiles)
    lipsync = 1024 * MIB  # its shm_mib, for a third of the calls that a GPU gets
    wanted = models + 2 * lipsync + 1024 * MIB
    assert wanted <= one < wanted + STEP
    assert container_bytes(MODELS, 1024 * MIB, 8) - one == 7 * 3 * lipsync


def test_the_command_prints_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENTAD_CONFIG", str(DOCKER / "config.yaml"))
    assert command.main(["shm", "--devices", "2"]) == 0
    regions = load_settings(DOCKER / "config.yaml", {}).lipsync.shared_memory_mb * MIB
    assert capsys.readouterr().out == f"{container_bytes(MODELS, regions, 2) // MIB}m\n"
    monkeypatch.setenv("PENTAD_CONFIG", "/nowhere.yaml")
    assert command.main(["shm"]) == 2
