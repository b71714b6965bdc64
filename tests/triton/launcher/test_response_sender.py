"""Questions about requests that are being answered do not end a real tritonserver."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tritonclient.grpc as grpc

from launcher.server import TritonServer

HERE = Path(__file__).resolve().parent
GUARD = HERE.parents[2] / "model_repository" / "text_embedding" / "1" / "response_sender.py"
REQUESTS = 400


def test_triton_survives_questions_after_the_answer(tmp_path: Path) -> None:
    """With Triton's own sender in the guard's place 2.51 ends with a SIGSEGV here."""
    repository = tmp_path / "repository"
    shutil.copytree(HERE / "questions", repository / "questions")
    shutil.copy(GUARD, repository / "questions" / "1")
    log = tmp_path / "triton.log"
    with TritonServer.on_free_ports(repository, log=log, load_models=("questions",)) as server:
        client = grpc.InferenceServerClient(server.grpc_url)

        def ask(_: int) -> int:
            given = grpc.InferInput("INPUT", [1], "INT32")
            given.set_data_from_numpy(np.zeros(1, np.int32))
            return int(client.infer("questions", [given]).as_numpy("OUTPUT")[0])

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(ask, range(REQUESTS))) == REQUESTS
        assert server.process.poll() is None
        client.close()
