"""Finds the parts of the `nvidia-pytriton` wheel and lays them out as Triton expects them."""

from __future__ import annotations

import filecmp
import importlib.util
import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from gateway.privacy import SILENT
from gateway.visible_cards import IN_BUS_ORDER
from launcher.errors import LauncherError
from launcher.plain_paths import plain

BACKENDS = Path(__file__).parent / "backends"
"""Our Python-based backends: a folder each, and a package that they share."""
PYTHON_BASED = ("onnxruntime", "openvino", "tensorrt")
SHARED = "pentad_backend"
COMPILED = "PENTAD_COMPILED"
"""Environment variable that tells the openvino backend where compiled graphs are kept."""
CALIBRATION = "PENTAD_CALIBRATION"
"""Environment variable that tells models where what they measured of their networks is kept."""
LIPSYNC_ROOM = "PENTAD_LIPSYNC_ROOM"
"""Environment variable that tells lip-sync how much of a card that others are on is its own."""
DEFAULTS = {
    # Models that use NumPy share the cores with their encoders: BLAS threads would fight them.
    "OPENBLAS_NUM_THREADS": "1",
}
"""Of Triton's environment, where nothing else is set."""


@dataclass(frozen=True)
class Wheel:
    """Where an installed `nvidia-pytriton` keeps its parts."""

    server: Path
    """The tritonserver executable."""
    python_backend: Path
    """Folder with `libtriton_python.so`."""
    stub: Path
    """Stub built for the running interpreter's minor version."""
    caches: Path
    """Folder of response caches (`local`)."""
    libraries: Path
    """Shared libraries that server, backend and stub link to."""


def find_wheel() -> Wheel:
    """Locates the wheel without importing it (its import starts ZeroMQ and checks Python).

    Raises:
        LauncherError: The wheel is missing or has no stub for this Python.
    """
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        raise LauncherError(
            "tritonserver is not installed: the package nvidia-pytriton is missing in "
            f"{sys.prefix} (`make env` installs it), or set triton.start: false"
        )
    package = Path(spec.submodule_search_locations[0])
    root = package / "tritonserver"
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    wheel = Wheel(
        server=root / "bin" / "tritonserver",
        python_backend=root / "backends" / "python",
        stub=root / "python_backend_stubs" / minor / "triton_python_backend_stub",
        caches=root / "caches",
        libraries=package.parent / "nvidia_pytriton.libs",
    )
    if not wheel.stub.is_file():
        raise LauncherError(f"nvidia-pytriton has no Python backend stub for Python {minor}")
    return wheel


def libpython_folder() -> Path:
    """Folder of the running interpreter's shared library, which Triton's stub links to.

    Raises:
        LauncherError: This Python was built without a shared library.
    """
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = f"libpython{minor}.so.1.0"
    libdir = Path(str(sysconfig.get_config_var("LIBDIR") or ""))
    multiarch = str(sysconfig.get_config_var("MULTIARCH") or "")
    # A relocated interpreter reports the LIBDIR of its build machine: look beside it first.
    for folder in (Path(sys.base_prefix) / "lib", libdir, libdir / multiarch):
        if (folder / name).exists():
            return folder
    raise LauncherError(
        f"{name} was not found: Triton's Python backend needs a Python built with "
        f"--enable-shared (Debian: apt install libpython{minor}; pyenv: "
        "PYTHON_CONFIGURE_OPTS=--enable-shared; uv's Pythons have it)"
    )


def backends_folder(state: Path) -> Path:
    """Where the backends of a state folder are, by a path that Triton can use."""
    return plain(state / "triton" / "backends")


def compiled_graphs(state: Path) -> Path:
    """Return the folder of graphs that OpenVINO has compiled, without what killed processes began.

    Call it while no Triton of this state folder runs. What is there is used as it is, so it is
    this user's alone.
    """
    folder = (state / "triton" / "compiled").resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for begun in folder.glob("*/tmp*"):
        shutil.rmtree(begun, ignore_errors=True)
    return folder


def calibration(state: Path) -> Path:
    """Return the folder of what models have measured; this user's alone, as it decides."""
    folder = (state / "triton" / "calibration").resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def assemble_backends(wheel: Wheel, folder: Path) -> Path:
    """Make `folder` a Triton backend directory; safe to call from several processes.

    Triton refuses backend files that are links to somewhere else, so they are copied.

    Returns:
        The absolute path of `folder`.
    """
    folder = folder.resolve()
    for source in (
        wheel.python_backend / "libtriton_python.so",
        wheel.python_backend / "triton_python_backend_utils.py",
        wheel.stub,
    ):
        _copy(source, folder / "python" / source.name)
    for name in PYTHON_BASED:
        for source in (BACKENDS / name).glob("*.py"):
            _copy(source, folder / name / source.name)
        for source in (BACKENDS / SHARED).glob("*.py"):
            _copy(source, folder / name / SHARED / source.name)
    return folder


def environment(wheel: Wheel) -> dict[str, str]:
    """Return the environment in which tritonserver and its stubs find libraries and packages."""
    env = dict(os.environ)
    libraries = [str(wheel.libraries), str(libpython_folder())]
    if inherited := env.get("LD_LIBRARY_PATH"):
        libraries.append(inherited)
    env["LD_LIBRARY_PATH"] = os.pathsep.join(libraries)
    # The stub's embedded interpreter ignores PYTHONPATH; it takes its site-packages from the
    # pyvenv.cfg beside the first python3 on PATH.
    scripts = sysconfig.get_path("scripts")
    env["PATH"] = os.pathsep.join([scripts, env.get("PATH", os.defpath)])
    env["VIRTUAL_ENV"] = sys.prefix
    env = {**DEFAULTS, **env, **SILENT, **IN_BUS_ORDER}
    env.pop("PYTHONHOME", None)
    return env


def _copy(source: Path, target: Path) -> None:
    if target.exists() and filecmp.cmp(source, target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copy2(source, temporary)
    os.replace(temporary, target)
