"""Threads that NumPy's libraries start in the gateway."""

from __future__ import annotations

import json
import os
import subprocess
import sys

PROGRAM = """
import json
import gateway.__main__
import numpy
from threadpoolctl import threadpool_info
print(json.dumps([pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]))
"""


def test_linear_algebra_has_no_thread_that_spins() -> None:
    """Idle threads of OpenBLAS wait for work by spinning: half a core with one stream's sound."""
    name = "OPENBLAS_NUM_THREADS"
    env = {key: value for key, value in os.environ.items() if key != name}
    for chosen, threads in ((None, 1), ("2", min(2, os.cpu_count() or 1))):
        given = {} if chosen is None else {name: chosen}
        out = subprocess.run(
            [sys.executable, "-c", PROGRAM], env={**env, **given}, capture_output=True, check=True
        ).stdout
        assert json.loads(out.splitlines()[-1]) == [threads]
