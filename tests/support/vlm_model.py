"""The Triton model `vlm` with a tiny random checkpoint, and a client of it."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from tritonclient import grpc
from tritonclient.utils import InferenceServerException

from export.folders import copy_code
from export.random_vlm import write_checkpoint
from gateway.model_config import load, text_of
from launcher.server import TritonServer

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".venv-vlm"
CHECKPOINT = "random-qwen3-vl"
LOAD_SECONDS = 300
_HTTP = httpx.Client(timeout=30)
RUN_VARIABLE, RUN = "TEST_RUN", uuid.uuid4().hex
VARIABLES = {
    RUN_VARIABLE: RUN,
    # An operator of so small a model takes microseconds; with two threads, as long as the
    # machine's other work keeps one of them waiting: a clip took 28 s with one, over 120 with two.
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}
"""In the environment of the server, and so of all that it starts."""


def engine_options(executor: str) -> str:
    """Options of vLLM: what runs its workers, and a small cache (the machine is shared)."""
    return json.dumps({"kv_cache_memory_bytes": 1 << 26, "distributed_executor_backend": executor})


PARAMETERS = {
    "model": f"1/{CHECKPOINT}",
    "source": "random weights",
    "max_model_len": "8192",
    "max_tokens": "7800",
    "max_num_seqs": "4",
    "max_requests": "8",
    "enforce_eager": "true",
    "start_seconds": "120",
    # Without a worker process, as on one GPU. With one, both wait in loops of sched_yield, and on
    # two cores with a Linux 6.18 every other process slept for up to 17 s.
    "engine_options": engine_options("vllm.v1.executor.uniproc_executor.UniProcExecutor"),
}
WITH_WORKER = {"engine_options": engine_options("mp")}
"""Parameters of an engine whose worker is a process of its own, as on several GPUs."""


def random_model(repository: Path, **parameters: str) -> Path:
    """Copies the model to `repository` with a random checkpoint in place of the real one."""
    source, target = ROOT / "model_repository" / "vlm", repository / "vlm"
    copy_code(source / "1", target / "1")
    config = load(source / "config.pbtxt")
    for name, value in {**PARAMETERS, **parameters}.items():
        assert name in config.parameters
        config.parameters[name].string_value = value
    (target / "config.pbtxt").write_text(text_of(config))
    (target / "1" / "env").symlink_to(ENVIRONMENT)
    write_checkpoint(target / "1" / CHECKPOINT)
    return repository


def tensors(
    frames: np.ndarray, timestamps: np.ndarray | list[float], prompt: str, options: dict[str, Any]
) -> list[grpc.InferInput]:
    """The inputs of one request."""
    found = []
    texts = {"PROMPT": prompt.encode(), "OPTIONS": json.dumps(options).encode()}
    arrays = {"FRAMES": frames, "TIMESTAMPS": np.asarray(timestamps, np.float32)}
    arrays |= {name: np.array([text], dtype=np.object_) for name, text in texts.items()}
    kinds = {"FRAMES": "UINT8", "TIMESTAMPS": "FP32", "PROMPT": "BYTES", "OPTIONS": "BYTES"}
    for name, array in arrays.items():
        tensor = grpc.InferInput(name, list(array.shape), kinds[name])
        tensor.set_data_from_numpy(array)
        found.append(tensor)
    return found


class VlmModel:
    """A client of the model in a running tritonserver."""

    def __init__(self, server: TritonServer) -> None:
        self.server = server
        self.client = grpc.InferenceServerClient(server.grpc_url)

    def close(self) -> None:
        self.client.close()

    def load(self) -> float:
        """Loads the model and returns the seconds it took.

        vLLM's worker was once seen to hang at its start, without load and without a message. The
        model gives up after `start_seconds`, and the gateway tries again; so does this.
        """
        begin = time.monotonic()
        try:
            self._load()
        except InferenceServerException as error:
            if "did not start within" not in error.message():
                raise
            self._load()
        return time.monotonic() - begin

    def _load(self) -> None:
        self.client.load_model("vlm", client_timeout=LOAD_SECONDS)

    def unload(self, seconds: float = 40) -> None:
        self.client.unload_model("vlm")
        end = time.monotonic() + seconds
        while self.stubs() or engines():
            assert time.monotonic() < end, "processes outlived the model"
            time.sleep(0.1)

    def ask(
        self, clip: tuple[np.ndarray, np.ndarray], prompt: str = "What happens?", **options: Any
    ) -> dict[str, Any]:
        """Text, finish_reason, usage and info of one answer."""
        return answer(self.client.infer("vlm", tensors(*clip, prompt, options)))

    def answers(self) -> bool:
        """Whether an inference succeeds."""
        frame = np.zeros((1, 32, 32, 3), np.uint8)
        try:
            self.ask((frame, np.zeros(1)), max_tokens=1, thinking_budget=0)
        except InferenceServerException:
            return False
        return True

    def stubs(self) -> list[psutil.Process]:
        """The model's Triton stub."""
        children = psutil.Process(self.server.process.pid).children(recursive=True)
        return [process for process in children if "/vlm/1/model.py" in _cmdline(process)]

    def metric(self, name: str, **labels: str) -> float:
        """Value of one series of Triton's metrics."""
        port = self.server.options.metrics_port
        return series(f"http://127.0.0.1:{port}/metrics", name, **labels)


def engines() -> list[psutil.Process]:
    """Every process of vLLM that these tests started, wherever it hangs in the process tree.

    Without Python's resource tracker, which ends after all others, the stub included.
    """
    return [process for process in psutil.process_iter() if _is_engine(process)]


def shared_memory() -> set[Path]:
    """The shared memory of these processes."""
    # psutil's memory_maps reads smaps, which takes seconds for processes of this size.
    maps = [Path(f"/proc/{process.pid}/maps").read_text() for process in engines()]
    files = (line.split(maxsplit=5)[5:] for lines in maps for line in lines.splitlines())
    return {Path(*file) for file in files if file and file[0].startswith("/dev/shm/")}


def series(url: str, name: str, **labels: str) -> float:
    """Value of one series of Triton's metrics at `url`."""
    for line in _HTTP.get(url).text.splitlines():
        if line.startswith(name + "{") and all(f'{k}="{v}"' in line for k, v in labels.items()):
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"no series {name} {labels}")


def answer(result: grpc.InferResult) -> dict[str, Any]:
    """Decodes the outputs."""
    text = {name: result.as_numpy(name)[0].decode() for name in ("TEXT", "FINISH_REASON", "USAGE")}
    info = result.as_numpy("MODEL_INFO")
    return {
        "text": text["TEXT"],
        "finish_reason": text["FINISH_REASON"],
        "usage": json.loads(text["USAGE"]),
        "info": None if info is None else json.loads(info[0]),
    }


def _cmdline(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _is_engine(process: psutil.Process) -> bool:
    try:
        variables = process.environ()
    except (psutil.Error, OSError):
        return False
    marked = variables.get(RUN_VARIABLE) == RUN and "PENTAD_ENGINE_OWNER" in variables
    return marked and "resource_tracker" not in _cmdline(process)
