"""What is in the images, and how much."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.support.container_engine import Engine
from tests.support.containers import sources

MB = 10**6
GATEWAY_MB = 350
TRITON_MB = 2600
TOOLS = ("gcc", "cc", "g++", "c++", "clang", "ld", "as", "make", "cmake", "cargo", "git", "curl")
PIP = "import importlib.util, sys; sys.exit(importlib.util.find_spec('pip') is not None)"


@pytest.fixture(params=["gateway_image", "triton_image"])
def image(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.mark.parametrize(
    ("name", "budget"), [("gateway_image", GATEWAY_MB), ("triton_image", TRITON_MB)]
)
def test_sizes(
    request: pytest.FixtureRequest,
    engine: Engine,
    python_base: str,
    tell: Callable[[str], None],
    name: str,
    budget: int,
) -> None:
    tag = str(request.getfixturevalue(name))
    size, base = (engine.image(one)["Size"] / MB for one in (tag, python_base))
    tell(f"{tag}: {size:.0f} MB, {base:.0f} MB of which are the base")
    assert size <= budget


def test_no_compiler_and_no_other_tools(engine: Engine, image: str) -> None:
    script = 'for tool in "$@"; do type -P $tool || true; done'
    assert engine.in_image(image, ["bash", "-c", script, "bash", *TOOLS]) == ""


def test_the_gateway_has_no_pip(engine: Engine, gateway_image: str) -> None:
    for python in ("/usr/local/bin/python", "/opt/pentad/venv/bin/python"):
        engine.in_image(gateway_image, [python, "-c", PIP])
    names = engine.in_image(gateway_image, ["bash", "-c", "type -P pip pip3 uv conda || true"])
    assert names == ""
    heavy = ("torch", "onnxruntime", "transformers", "cv2")
    code = f"import importlib.util as u; print([n for n in {heavy} if u.find_spec(n)])"
    python = "/opt/pentad/venv/bin/python"
    assert engine.in_image(gateway_image, [python, "-c", code]).strip() == "[]"


def test_no_root_and_nothing_of_the_program_can_be_changed(engine: Engine, image: str) -> None:
    config = engine.image(image)["Config"]
    assert config["User"] == "1000:1000"
    find = ["find", "/opt/pentad", "-writable", "-not", "-type", "l"]
    assert engine.in_image(image, find, "--user", "1000:1000") == ""


@pytest.mark.parametrize(
    ("name", "folders"),
    [
        ("gateway_image", ("gateway",)),
        ("triton_image", ("gateway", "launcher", "embedded", "export", "model_repository")),
    ],
)
def test_the_program_is_whole(
    request: pytest.FixtureRequest, engine: Engine, name: str, folders: tuple[str, ...]
) -> None:
    """Every module as it is in the checkout, those in the models' packages and links among them."""
    tag, wanted = str(request.getfixturevalue(name)), sources(folders)
    packages = {file for file in wanted if re.match(r"model_repository/\w+/1/\w+/\w+\.py", file)}
    assert bool(packages) == ("model_repository" in folders)
    assert engine.digests(tag, "/opt/pentad", sorted(wanted)) == wanted


def test_nothing_of_the_build_is_left(engine: Engine, image: str) -> None:
    """Neither what the builder was configured with, nor caches, nor secrets, nor weights."""
    script = r"""
    for file in /etc/pip.conf /root/.npmrc; do [ ! -s "$file" ] || echo "$file"; done
    find / -xdev \( -name '*.onnx' -o -name client-keys.yaml -o -name .npmrc -o -name .git \
        -o -path '*/.cache/*' -o -path '*/node_modules/*' \) -not -path '/proc/*' \
        -not -path '*/site-packages/*' -size +0
    """
    assert engine.in_image(image, ["bash", "-c", script]) == ""


def test_the_health_check_is_the_dockerfile_s(engine: Engine, image: str) -> None:
    check = engine.image(image)["Healthcheck"]
    assert check["Test"][:2] == ["CMD", "/opt/pentad/healthy.sh"]
    assert check["Interval"] == 10 * 10**9
