"""docker/triton.Dockerfile on a base that stands in for NVIDIA's, as far as that goes.

The CUDA packages are resolved, not installed: the CPU image's environment takes the place of the
models', and its tritonserver that of NVIDIA's. What is not built is said in the output.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import venv
from collections.abc import Callable

import pytest

from tests.support.base_images import PYTHON, make, stand_ins
from tests.support.container_engine import Engine
from tests.support.containers import DOCKER, ROOT, sources, versions
from tests.support.package_indexes import PackageIndexes
from tests.support.waiting import wait_for

FILE = DOCKER / "triton.Dockerfile"
TAG = "localhost/pentad-triton-stand-in:test"
TRITON_PYTHON = "3.12"  # of NVIDIA's image
UV = "uv>=0.8,<1"
NAME = "pentad-test-gpu-image"
_RUN = re.compile(r"^RUN (?:.*\\\n)*.*$", re.M)
_PIP = re.compile(r"(?:^RUN| *&&) \S+/pip install (?:.*\\\n)*?.*?(?=\s*&& \S+/pip|\Z)", re.M)


def without_packages(text: str) -> tuple[str, list[str]]:
    """Return a Dockerfile without what its RUNs install by pip, and those commands."""
    left_out: list[str] = []

    def cut(match: re.Match[str]) -> str:
        run = match.group()
        found = [" ".join(one.replace("\\\n", " ").split()) for one in _PIP.findall(run)]
        left_out.extend(one.removeprefix("RUN ").removeprefix("&& ").rstrip(" \\") for one in found)
        kept = re.sub(r"\s*\\\s*\Z", "", _PIP.sub("", run))
        return kept if kept.strip() not in ("", "RUN") else ""

    return _RUN.sub(cut, text), left_out


def test_nothing_but_pip_s_work_is_cut_out() -> None:
    kept, left_out = without_packages(FILE.read_text())
    assert (
        len(left_out) == FILE.read_text().count("/pip install") == kept.count("python3 -m venv") + 2
    )
    assert "/pip" not in kept
    for word in ("apt-get install", "COPY", "USER", "ENTRYPOINT", "compileall"):
        assert kept.count(word) == FILE.read_text().count(word)


@pytest.fixture(scope="module")
def image(
    engine: Engine, triton_image: str, indexes: PackageIndexes, tell: Callable[[str], None]
) -> str:
    make(engine, stand_ins()["triton"], tell)
    text, left_out = without_packages(FILE.read_text())
    for command in left_out:
        tell(f"triton.Dockerfile: not run: {command}")
    marker = "FROM tools AS vlm"
    assert marker in text
    venv_copy = f"COPY --from={triton_image} /opt/pentad/venv /opt/pentad/venv\n"
    derived = engine.folder / "triton.Dockerfile"
    derived.write_text(text.replace(marker, venv_copy + marker, 1))
    arguments = {name: versions()[name] for name in ("TRITON_TAG", "TENSORRT_VERSION")}
    engine.build(derived, TAG, arguments, target="full", indexes=indexes)
    return TAG


@pytest.mark.parametrize(
    "locks",
    [
        ("requirements/runtime.lock", "requirements/torch.lock", "requirements/cuda.lock"),
        ("requirements/vlm-cuda.lock",),
        ("export/tryon/libraries.lock",),
    ],
    ids=["models", "vlm", "tryon"],
)
def test_every_lock_has_wheels_for_its_python(
    tmp_path_factory: pytest.TempPathFactory, locks: tuple[str, ...]
) -> None:
    """With the hashes that the locks have; nothing is fetched but the index's pages."""
    text = FILE.read_text()
    assert all(lock in text for lock in locks)
    tools = tmp_path_factory.getbasetemp() / "uv"
    if not tools.is_dir():
        venv.create(tools, with_pip=True)
        subprocess.run([tools / "bin" / "pip", "install", "--quiet", UV], check=True)
    command = [tools / "bin" / "uv", "pip", "install", "--dry-run", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", "--python-version", TRITON_PYTHON]
    command += ["--python-platform", "x86_64-manylinux_2_39", "--target", tools / "none"]
    for lock in locks:
        command += ["-r", ROOT / lock]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Would download" in done.stderr + done.stdout


def test_the_program_is_whole(engine: Engine, image: str) -> None:
    wanted = sources(("gateway", "launcher", "embedded", "export", "model_repository"))
    assert engine.digests(image, "/opt/pentad", sorted(wanted)) == wanted


def test_the_entry_point_computes_the_shared_memory(engine: Engine, image: str) -> None:
    config = engine.image(image)["Config"]
    command = [*config["Entrypoint"][1:], "shm"]
    said = engine.in_image(image, [config["Entrypoint"][0], *command], "--user", "1000:1000")
    assert said.strip() == versions()["TRITON_SHM_SIZE"]


def test_triton_starts_by_the_image_s_own_words(engine: Engine, image: str) -> None:
    """As compose.yaml runs it but for the GPU: user 1000, its socket, alive by its health check."""
    limits = ["--ulimit", "nofile=16384:16384", "--ulimit", "nproc=4096:4096"]
    socket = engine.run_folder / NAME  # podman's own tmpfs has no owner but root
    socket.mkdir(mode=0o700, exist_ok=True)
    os.chown(socket, 1000, 1000)
    engine.run_podman("rm", "--force", NAME)
    try:
        engine.podman(
            "run", "--detach", "--init", "--network", "none", "--cap-drop=ALL",
            "--security-opt=no-new-privileges", f"--volume={socket}:/run/pentad", "--shm-size=1g",
            *limits, "--name", NAME, image,
        )  # fmt: skip
        wait_for(
            lambda: engine.run_podman("healthcheck", "run", NAME).returncode == 0,
            120,
            lambda: engine.run_podman("logs", NAME).stderr[-3000:],
        )
        args = engine.podman("top", NAME, "args")
        assert "/opt/tritonserver/bin/tritonserver" in args
        assert "--grpc-address=unix:/run/pentad/triton" in args
        engine.podman("stop", "--time", "30", NAME)
        assert engine.container(NAME)["State"]["ExitCode"] != 137
    finally:
        engine.run_podman("rm", "--force", NAME)
        shutil.rmtree(socket)


def test_vllm_and_the_engine_have_their_environments_and_a_compiler(
    engine: Engine, image: str
) -> None:
    for name in ("venv", "vlm", "tryon"):
        engine.in_image(image, [f"/opt/pentad/{name}/bin/python", "-c", "import sys"])
    engine.in_image(image, ["g++", "--version"])
    engine.in_image(image, ["test", "-f", f"/usr/include/python{PYTHON}/Python.h"])
