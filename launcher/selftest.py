"""Sends a known tensor through Triton's Python stub and back.

The wheel's stub is built against NumPy 1: with NumPy 2 inputs arrive as nonsense and outputs
leave empty, without any error.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import sys
from pathlib import Path

from launcher.errors import LauncherError
from launcher.layout import find_wheel
from launcher.server import TritonServer

REPOSITORY = Path(__file__).parent / "selftest_repository"
MODEL = "numpy_round_trip"
PROOF = "round_trip.json"
"""File below the state folder: the parts with which the tensor came back as it was."""
CALL_SECONDS = 60.0
VALUES = [1.0, 2.0, 3.0, -4.5]


def check_round_trip_once(server: TritonServer, state: Path) -> None:
    """Check the round trip, unless it was right before with the same stub, Python and NumPy.

    Args:
        server: A live server that serves REPOSITORY too.
        state: Folder that remembers what was right.

    Raises:
        LauncherError: The tensor came back changed.
    """
    proof, parts = state / "triton" / PROOF, _parts()
    with contextlib.suppress(OSError, ValueError):
        if json.loads(proof.read_text(encoding="utf-8")) == parts:
            return
    check_round_trip(server)
    with contextlib.suppress(OSError):  # it is only checked once more
        proof.write_text(json.dumps(parts), encoding="utf-8")


def _parts() -> dict[str, str]:
    """Return what the outcome depends on, by name."""
    stub = find_wheel().stub
    status = stub.stat()
    return {
        "numpy": importlib.metadata.version("numpy"),
        "python": sys.version,
        "stub": f"{stub}, {status.st_size} bytes of {status.st_mtime_ns}",
    }


def check_round_trip(server: TritonServer) -> None:
    """Load the test model into a live server that serves REPOSITORY too, use and unload it.

    Raises:
        LauncherError: The tensor came back changed.
    """
    import numpy as np
    from tritonclient.grpc import InferInput
    from tritonclient.utils import InferenceServerException

    from launcher.triton_grpc import connected  # as TritonServer.live

    sent = InferInput("INPUT", [len(VALUES)], "FP32")
    sent.set_data_from_numpy(np.array(VALUES, np.float32))
    returned: object
    with connected(server.options) as triton:
        triton.load_model(MODEL, client_timeout=CALL_SECONDS)
        try:
            array = triton.infer(MODEL, [sent], client_timeout=CALL_SECONDS).as_numpy("OUTPUT")
            returned = None if array is None else array.tolist()
        except (InferenceServerException, ValueError) as error:  # so does NumPy 2 for most shapes
            returned = str(error)
        triton.unload_model(MODEL, client_timeout=CALL_SECONDS)
    if returned != VALUES:
        raise LauncherError(
            f"tensors are corrupted in Triton's Python backend: {VALUES} came back as {returned}. "
            "NumPy in this environment must be older than 2"
        )
