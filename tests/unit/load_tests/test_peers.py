"""The peers' environments: the programs that make them start as the Makefile starts them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from load_tests.peers.setup import PEERS

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import runpy, sys; sys.argv = ['setup', 'nobody']\n"
         "runpy.run_module('load_tests.peers.setup', run_name='__main__')",
         f"Unknown peer nobody; there are {', '.join(PEERS)}."),
        ("import load_tests.peers.lock as lock; print(lock.resolve.__name__)", "resolve"),
    ],
)  # fmt: skip
def test_the_programs_start_without_the_tests_own_paths(code: str, words: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PATH": ""},
    )  # fmt: skip
    assert words in ended.stdout, ended.stderr


def test_every_peer_has_its_lock() -> None:
    for name in PEERS:
        assert (ROOT / "load_tests" / "peers" / f"{name}.lock").is_file()
