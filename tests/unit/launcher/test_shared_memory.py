from __future__ import annotations

import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from gateway.model_config import parse
from launcher import leftovers, shm_budget
from launcher.errors import LauncherError
from tests.support.waiting import wait_for

CONFIG = """
# a comment with { brackets
backend: "onnxruntime"
max_batch_size: 4
input [ { name: "A", data_type: TYPE_INT64, dims: [ -1 ] } ,
        { name: "B" data_type: TYPE_STRING dims: 1 } ]
output { name: "C" data_type: TYPE_FP32 dims: [ 2, 3 ] }
instance_group [ { count: 2 kind: KIND_CPU } ]
parameters { key: "x" value { string_value: "a b" } }
"""


def test_budget_follows_its_formula() -> None:
    tensors = 8 * shm_budget.VARIABLE_DIM + shm_budget.STRING_BYTES + 4 * 6
    expected = 2 * (2**20 + 2 * 4 * tensors)
    assert shm_budget.model_bytes(parse(CONFIG)) == expected


def test_budget_of_pictures() -> None:
    picture = 'input { name: "A" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] }'
    assert shm_budget.model_bytes(parse(picture)) == 2**20 + 2 * 640 * 640 * 3
    clip = 'input { name: "A" data_type: TYPE_UINT8 dims: [ 8, -1, 480, 3 ] }'
    assert shm_budget.model_bytes(parse(clip)) == 2**20 + 2 * 8 * 640 * 480 * 3
    tokens = 'input { name: "A" data_type: TYPE_UINT8 dims: [ -1, 4 ] }'
    assert shm_budget.model_bytes(parse(tokens)) == 2**20 + 2 * 256 * 4


def test_a_newer_tritons_fields_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    newer = CONFIG + 'of_tomorrow { what: "ever" list: [ 1, 2 ] }'
    (tmp_path / "model" / "config.pbtxt").write_text(newer)
    assert shm_budget.needed_bytes(tmp_path, "default") == shm_budget.model_bytes(parse(CONFIG))


def test_budget_uses_the_profile(tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "configs").mkdir(parents=True)
    (model / "config.pbtxt").write_text("instance_group { count: 1 }")
    (model / "configs" / "openvino.pbtxt").write_text("instance_group { count: 5 }")
    (tmp_path / "other").mkdir()
    assert shm_budget.needed_bytes(tmp_path, "default") == 2**20
    assert shm_budget.needed_bytes(tmp_path, "openvino") == 5 * 2**20


def test_small_shm_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.pbtxt").write_text("instance_group { count: 9 }")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shm_budget.shutil, "disk_usage", lambda path: usage(2**23, 0, 2**23))
    with pytest.raises(LauncherError, match="--shm-size"):
        shm_budget.check_shm(tmp_path, "default")


def test_leftovers_of_a_dead_launcher_are_removed(tmp_path: Path) -> None:
    prefix = leftovers.new_prefix()
    namespace = prefix.split("-")[1]
    stale = f"pentad-{namespace}-999999999-1-0-"
    own = leftovers.SHM / f"{prefix}region"
    foreign = leftovers.SHM / "pentad-1-999999999-1-0-region"  # of another process namespace
    dead = leftovers.SHM / f"{stale}region"
    process = subprocess.Popen(
        [
            "tritonserver", "-c", "import time; time.sleep(60)", f"--x={stale}",
            f"--backend-directory={tmp_path / 'mine' / 'triton' / 'backends'}",
        ],
        executable=sys.executable,
    )  # fmt: skip
    try:
        for path in (own, foreign, dead):
            path.touch()
        wait_for(lambda: leftovers.processes(stale))
        for state in (None, tmp_path / "min", tmp_path):  # not the one it was started with
            assert stale not in leftovers.remove_stale(state)
        assert process.poll() is None
        assert dead.exists()
        assert stale in leftovers.remove_stale(tmp_path / "mine")
        process.wait(60)
        assert own.exists()
        assert foreign.exists()
        assert not dead.exists()
    finally:
        process.kill()
        for path in (own, foreign, dead):
            path.unlink(missing_ok=True)


def test_prefixes_are_distinct_and_name_this_process() -> None:
    first, second = leftovers.new_prefix(), leftovers.new_prefix()
    assert first != second
    assert f"-{os.getpid()}-" in first


def test_a_model_may_state_its_need() -> None:
    config = parse(
        CONFIG.replace(
            'key: "x" value { string_value: "a b"', 'key: "shm_mib" value { string_value: "30"'
        )
    )
    assert shm_budget.model_bytes(config) == 2 * 30 * shm_budget.MIB
