"""Marks every test by its folder and keeps the environment of the shell out of the tests."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import signal
from collections import OrderedDict
from collections.abc import Generator, Iterator
from pathlib import Path, PurePosixPath

import httpx
import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from gateway.privacy import silence_libraries
from gateway.settings.legacy import LEGACY
from tests.support.alone import Machine

silence_libraries()

# Torch computes with a thread for each core, and all wait in loops for the last of them. Two such
# processes on two cores take twice the CPU for the same. The processes of tests inherit it.
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):
    cores = len(os.sched_getaffinity(0))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // workers)))

# Crashes, floods and other engines; `make test` leaves them to `make test-long`.
LONG = (
    "unit/launcher/backends/test_real_onnxruntime_gpu.py",
    "unit/export/test_insightface_itself.py",
    "clients/stock/",
    "unit/packaging/test_wheel.py",
    "contract/test_tryon_leases.py",
    "netns/test_core.py",
    "triton/launcher/test_ports.py",
    "contract/connections/test_patience.py",
    "contract/connections/test_process.py",
    "triton/launcher/test_silence.py",
    "triton/launcher/test_hard_ends.py",
    "contract/test_bodies_at_the_limit.py",
    "contract/documents/",
    "media/test_decoder_fuzz.py",
    "triton/launcher/test_supervisor.py",
    "triton/catalogue/",
    "triton/emotions/test_vlm_stories.py",
    "triton/gateway/test_elsewhere.py",
    "triton/gateway/test_full_memory.py",
    "triton/gateway/test_recovery.py",
    "triton/gateway/test_tracing.py",
    "triton/iot/faces/test_other_networks.py",
    "triton/iot/faces/test_views.py",
    "triton/lipsync/gateway/test_restart.py",
    "triton/lipsync/gateway/test_traffic.py",
    "triton/lipsync/model/test_lipsync_traffic.py",
    "triton/plans/",
    "triton/scale/",
    "triton/text/test_measured_calls.py",
    "triton/tryon/jobs/",
    "triton/tryon/model/test_other_engines.py",
    "triton/tryon/model/test_remote_jobs.py",
    "triton/vision/test_other_classifiers.py",
    "unit/gpu_check/test_bare_environment.py",
)
# What measures the machine: with `pytest -n`, no other process runs a test meanwhile.
ALONE = (
    "contract/test_bodies_at_the_limit.py",
    "media/test_decoder_fuzz.py",
    "netns/test_core.py",
    "triton/iot/faces/test_views.py",
    "triton/text/test_measured_calls.py",
    "triton/tryon/jobs/test_stream.py",
    "vlm/test_processes.py",  # an engine with a worker waits in loops on both cores
)
LAYERS = (
    "unit",
    "contract",
    "media",
    "triton",
    "netns",
    "clients",
    "browser",
    "vlm",
    "gpu",
    "containers",
)
# A shell starts background jobs with Ctrl-C ignored, and the tests' processes would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says more about the machine's other work than about the code.
hypothesis.settings.register_profile(
    "pentad", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("pentad")

# httpx reads the 140 certificates of certifi for every client, in 40 ms; tests that ask a server
# until something is so have a client each time, and left the server less of the machine.
httpx._transports.default.create_ssl_context = functools.cache(httpx.create_ssl_context)

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
_MACHINE = pytest.StashKey[Machine]()


def group(path: PurePosixPath) -> str:
    """Return what the tests of a file run with in one process: their folder's servers, or nothing.

    ``path`` is relative to this folder. Those with servers sort first: they take the longest.
    """
    layer, *folders = path.parts[:-1] or (path.name,)
    if layer in ("browser", "clients", "netns"):  # one stack for all of them
        return f"0 {layer}"
    if layer == "triton" and folders and folders[0] != "launcher":  # a server for each module there
        return "1 " + "/".join(folders)
    return ("1 " if layer == "triton" else "2 ") + path.as_posix()


class _ByGroup(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each worker of ``pytest -n`` whole groups, in the order in which they were sorted."""

    def _split_scope(self, nodeid: str) -> str:
        path = PurePosixPath(nodeid.split("::")[0])
        return group(path.relative_to("tests")) if path.parts[0] == "tests" else path.as_posix()

    def _assign_work_unit(self, node: WorkerController) -> None:
        ordered = sorted(self.workqueue.items(), key=lambda item: item[0][:1])
        self.workqueue = OrderedDict(ordered)
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    return _ByGroup(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None, None, None]:
    """Mark before pytest selects by marks, and sort after pytest-randomly has shuffled."""
    for item in items:
        path = item.path.relative_to(HERE)
        if path.parts[0] in LAYERS:
            item.add_marker(getattr(pytest.mark, path.parts[0]))
        if path.as_posix().startswith(LONG):
            item.add_marker(pytest.mark.long)
    yield
    places: dict[str, int] = {}
    for item in items:
        places.setdefault(_group_of(item), len(places))
    # A group's tests stand together, so that its servers end with the last of them.
    items.sort(key=lambda item: places[_group_of(item)])


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # a worker, whose folder is one of several of the run's
        machine = Machine(Path(config.option.basetemp).parent)
        config.stash[_MACHINE] = machine
        config.add_cleanup(machine.close)


def _alone(item: pytest.Item | None) -> bool:
    return item is not None and item.path.relative_to(HERE).as_posix().startswith(ALONE)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before the test's time begins to count
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    machine = item.config.stash.get(_MACHINE, None)
    if machine is None:
        return (yield)
    with machine.held(_alone(item), _alone(nextitem)):
        return (yield)


def _group_of(item: pytest.Item) -> str:
    return group(PurePosixPath(item.path.relative_to(HERE)))


# Loaded here: some tests put another `ctypes.CDLL` in place, which may still be there afterwards.
_LIBM = ctypes.CDLL("libm.so.6") if platform.libc_ver()[0] == "glibc" else None


@pytest.fixture(autouse=True)
def _usual_numbers() -> Iterator[None]:
    """No test leaves a thread that takes denormals for zero, as an engine may be told to."""
    yield
    if _LIBM is not None:
        _LIBM.fesetenv(ctypes.c_void_p(-1))  # FE_DFL_ENV of fenv.h


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test depends on variables of the shell, nor writes to the project's own state."""
    for name in list(os.environ):
        if name.startswith("PENTAD_") or name in LEGACY:
            monkeypatch.delenv(name)
    umask = os.umask(0o022)  # commands of Pentad's that run in this process narrow it
    os.umask(umask)
    yield
    os.umask(umask)
