"""The servers under test: how each is started, when it is ready, and how it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.settings.socket_file import socket_address
from load_tests import faces, text, vision
from load_tests.catalogue import DIALECTS
from load_tests.client import Address, TransportError, fetch
from load_tests.peers.checkpoint import checkpoint
from load_tests.scenarios import Dialect

ROOT = Path(__file__).resolve().parents[1]
LITSERVE = ROOT / ".venv-litserve" / "bin" / "python"
VLLM = ROOT / ".venv-vlm" / "bin" / "python"
START_SECONDS = 300
STOP_SECONDS = 40
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


class ServerError(Exception):
    """A server did not become ready."""


@dataclass(frozen=True)
class Server:
    """One server: its command line, and the address and dialect to talk to it."""

    name: str
    dialect: Dialect
    address: Address
    command: list[str] = field(default_factory=list)
    """Empty: it is already running and is left alone."""
    env: dict[str, str] = field(default_factory=dict)
    ready: str | None = None
    """Path that answers 200 when it is ready; the dialect's by default."""
    ready_port: int | None = None
    """Port of that path, where it is another one."""


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def naive(cache: Path) -> Server:
    """Return the old text server's way; clients wait for a slot without limit."""
    port = free_port()
    command = [sys.executable, "-m", "load_tests.peers.naive_text", "--slot-wait", "inf"]
    command += ["--checkpoint", str(checkpoint(cache).resolve()), "--port", str(port)]
    return Server("naive", text.OLD, Address("127.0.0.1", port), command, OFFLINE)


def litserve(cache: Path) -> Server:
    """Return LitServe with batching, at the settings that were fastest here."""
    port = free_port()
    command = [str(LITSERVE), "-m", "load_tests.peers.litserve_text"]
    command += ["--checkpoint", str(checkpoint(cache).resolve()), "--port", str(port)]
    return Server("litserve", text.EMBED_ONLY, Address("127.0.0.1", port), command, OFFLINE)


def classifying(cache: Path, name: str) -> Server:
    """Return the vision peer of this name: ``naive``, ``litserve``, ``litserve-channels-last``."""
    port = free_port()
    peer, _, variant = name.partition("-")
    python = str(LITSERVE) if peer == "litserve" else sys.executable
    command = [python, "-m", f"load_tests.peers.{peer}_vision"]
    command += ["--cache", str(cache.resolve()), "--port", str(port)]
    command += [f"--{variant}"] if variant else []
    return Server(name, vision.OLD, Address("127.0.0.1", port), command)


def enrolling(name: str) -> Server:
    """Return the old vectorizer's way: ``naive``, or ``naive-N`` with N workers."""
    port = free_port()
    workers = name.partition("-")[2] or "1"
    command = [sys.executable, "-m", "load_tests.peers.naive_iot", "--workers", workers]
    command += ["--repository", str(ROOT / "model_repository"), "--port", str(port)]
    return Server(name, faces.OLD, Address("127.0.0.1", port), command)


def infinity(cache: Path, engine: str, dtype: str = "float32") -> Server:
    """Return Infinity with its ``torch`` or ``optimum`` engine at its fastest settings."""
    port = free_port()
    python = ROOT / ".venv-infinity/bin/python"
    command = [str(python), "-m", "load_tests.peers.infinity_text", "--engine", engine]
    command += ["--dtype", dtype, "--port", str(port)]
    command += ["--checkpoint", str(checkpoint(cache).resolve())]
    suffix = "" if dtype == "float32" else f"-{dtype}"
    name = f"infinity-{engine}{suffix}"
    return Server(name, text.OPENAI, Address("127.0.0.1", port), command, OFFLINE)


def vllm(cache: Path, dtype: str) -> Server:
    """Return vLLM's CPU build as an embeddings server (`make vlm-env` makes its environment).

    By its module: the command `vllm` looks for a distribution of that name, and the CPU build's
    has another one.
    """
    port = free_port()
    command = [str(VLLM), "-m", "vllm.entrypoints.openai.api_server", "--runner", "pooling"]
    command += ["--model", str(checkpoint(cache).resolve()), "--served-model-name", "minilm"]
    command += ["--dtype", dtype, "--host", "127.0.0.1", "--port", str(port)]
    env = OFFLINE | {"VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    name = "vllm" if dtype == "float32" else f"vllm-{dtype}"
    return Server(name, text.OPENAI_V1, Address("127.0.0.1", port), command, env)


def pentad(name: str, services: Sequence[str], profile: str) -> Server:
    """Return Pentad on free ports, started as `make run` does.

    Args:
        name: What it is called in the results.
        services: What it runs; the old port of the first one is asked.
        profile: Device profile.
    """
    ports = {key: free_port() for key in ("main", "metrics", *services)}
    service = services[0]
    state = Path(f"var/load_tests/{service}-{name}")
    env = {
        "PENTAD_SERVICES": json.dumps(list(services)),
        "PENTAD_SERVER__PORT": str(ports["main"]),
        **{f"PENTAD_{each.upper()}__PORT": str(ports[each]) for each in services},
        "PENTAD_EMBEDDED__METRICS_PORT": str(ports["metrics"]),
        "PENTAD_TRITON__URL": socket_address(state),
        "PENTAD_TRITON__METRICS_URL": f"http://127.0.0.1:{ports['metrics']}/metrics",
        "PENTAD_EMBEDDED__PROFILE": profile,
        "PENTAD_PATHS__STATE": str(state),
    }
    address = Address("127.0.0.1", ports[service])
    command = [sys.executable, "-m", "launcher", "run"]
    return Server(
        name, DIALECTS[service], address, command, env, ready="/readyz", ready_port=ports["main"]
    )


def build(name: str, service: str, cache: Path) -> Server:
    """Return the server with this name.

    Raises:
        ValueError: there is none for this service.
    """
    if name == "pentad" or name.startswith("pentad-"):
        return pentad(name, [service], name.removeprefix("pentad").lstrip("-") or "auto")
    if service == "vision" and name in ("naive", "litserve", "litserve-channels-last"):
        return classifying(cache, name)
    if service == "text" and name in ("naive", "litserve"):
        return naive(cache) if name == "naive" else litserve(cache)
    if service == "iot" and name.partition("-")[0] == "naive":
        return enrolling(name)
    if name.startswith("infinity-") and service == "text":
        engine, _, dtype = name.removeprefix("infinity-").partition("-")
        return infinity(cache, engine, dtype or "float32")
    if name.partition("-")[0] == "vllm" and service == "text":
        return vllm(cache, name.partition("-")[2] or "float32")
    raise ValueError(f"no server of {service} is called {name}")


@contextlib.asynccontextmanager
async def running(server: Server, log: Path) -> AsyncIterator[Server]:
    """Start the server, wait until it is ready, and stop it at the end.

    Raises:
        ServerError: it ended or was not ready in time; its output is in ``log``.
    """
    if not server.command:
        yield server
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:  # a later round must not hide what went wrong in this one
        process = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
            server.command,
            cwd=ROOT,
            env={**os.environ, **server.env},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        await _until_ready(server, process, log)
        yield server
    finally:
        await asyncio.to_thread(stop, process)


async def _until_ready(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    address = Address(server.address.host, server.ready_port or server.address.port)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerError(f"{server.name} ended with {process.returncode}; see {log}")
        with contextlib.suppress(TransportError, asyncio.TimeoutError):
            path = server.ready or server.dialect.ready_path
            if (await asyncio.wait_for(fetch(address, path), 5)).status == 200:
                return
        await asyncio.sleep(0.2)
    raise ServerError(f"{server.name} was not ready within {START_SECONDS} s; see {log}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the process and the ones it started (its own session, so nobody else's)."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
