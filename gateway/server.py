"""Runs the gateway: all ports in one process and one event loop, drained on a signal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator, Sequence

import uvicorn

from gateway.app import Listeners, create_listeners
from gateway.context import Context
from gateway.grpc.server import GrpcServer
from gateway.health.loading import Leadership, ModelLoader
from gateway.health.monitor import HealthMonitor
from gateway.health.processes import ModelProcesses
from gateway.lifecycle import Lifecycle
from gateway.memory import keep_large_buffers, keep_returning, tame_garbage_collector
from gateway.placement import forced_devices
from gateway.plans.choice import PlanChooser
from gateway.security import KeyRing
from gateway.settings import Settings
from gateway.sockets import listening
from gateway.telemetry.activity import Activity
from gateway.telemetry.gpu import GpuCollector, GpuSampler
from gateway.telemetry.log import LostLinesCollector
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import Tracing
from gateway.telemetry.tritons import MemberCollector
from gateway.triton import TritonPool, TritonPort, connect

log = logging.getLogger(__name__)
KEYS_POLL = 1.0  # seconds between looks at the keys file
LOCK_FILE = "gateway.lock"
ADMIN_KEY_FILE = "triton/admin.key"  # written by the launcher for a gateway started alone


class _Listener(uvicorn.Server):
    """A uvicorn server that leaves signals to the gateway."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no handlers: one signal ends all listeners together."""
        yield


def admin_key(settings: Settings) -> str:
    """Return the key of Triton's model-repository API: configured, or the launcher's own.

    Raises:
        ValueError: `triton.admin_key_file` is unreadable.
    """
    try:
        if configured := settings.triton.read_admin_key():
            return configured
    except OSError as error:
        raise ValueError(f"triton.admin_key_file: {error.strerror}") from None
    file = settings.paths.state / ADMIN_KEY_FILE
    return file.read_text().strip() if settings.triton.start and file.is_file() else ""


def build_context(settings: Settings, triton: TritonPort) -> Context:
    """Create the shared parts; call it inside the running loop.

    Raises:
        ValueError: the keys file is unreadable.
    """
    metrics = Metrics()
    gpus = GpuSampler(settings.telemetry.gpu)
    metrics.add(GpuCollector(gpus.histories))
    metrics.add(LostLinesCollector())
    monitor = HealthMonitor(
        triton,
        settings.health,
        metrics,
        ModelLoader(triton, metrics, forced_devices(settings), plan_chooser(settings)),
        Leadership(settings.paths.state / LOCK_FILE, candidate=settings.triton.control),
        ModelProcesses(settings.triton.url),
    )
    return Context(
        settings=settings,
        triton=triton,
        monitor=monitor,
        metrics=metrics,
        tracing=Tracing(settings.telemetry),
        keys=KeyRing(settings),
        gpus=gpus,
        activity=Activity(),
    )


def plan_chooser(settings: Settings) -> PlanChooser | None:
    """Return what chooses between TensorRT plans and ONNX; None where plans are not wanted."""
    if not settings.triton.use_plans:
        return None
    sides = {settings.iot.networks[0]: settings.iot.detection_side} if settings.iot.networks else {}
    return PlanChooser(settings.paths.repository, sides)


async def serve(settings: Settings, given: Sequence[socket.socket] = ()) -> None:
    """Serve until SIGINT or SIGTERM, then finish what runs within ``server.drain_seconds``.

    Args:
        settings: the configuration.
        given: listening sockets that were handed over; other ports are opened here.

    Raises:
        OSError: a port is taken.
        ValueError: the keys file is unreadable, the try-on jobs cannot be kept, or a socket is not
            what the configuration says.
    """
    keep_large_buffers()
    triton = connect(settings.triton, admin_key(settings))
    context = build_context(settings, triton)
    lifecycle = Lifecycle()
    listeners = create_listeners(context, lifecycle)
    if isinstance(triton, TritonPool):
        context.metrics.add(MemberCollector(triton.serving))
        monitor = context.monitor
        triton.keep(monitor.needed(), monitor.leads, forced_devices(settings))
    apps = [(settings.server.port, listeners.main), *listeners.ports.items()]
    server = settings.server
    sockets = listening(settings, given)
    servers = [_Listener(_config(settings, app)) for _, app in apps]
    if listeners.lipsync:
        await listeners.lipsync.start()
    if listeners.tryon:
        await listeners.tryon.start()
    grpc_server = None
    if listeners.lipsync and settings.lipsync.port is not None:
        grpc_server = GrpcServer(context, lifecycle, listeners.lipsync)
        await grpc_server.start()
    await context.gpus.start()
    context.monitor.start()
    background = [
        asyncio.create_task(_watch_keys(context.keys)),
        asyncio.create_task(keep_returning()),
    ]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, _reload, context, listeners)
    running = [
        asyncio.create_task(one.serve(sockets[port]))
        for one, (port, _) in zip(servers, apps, strict=True)
    ]
    tame_garbage_collector()
    log.info("gateway listening", extra={"host": server.host, "ports": list(sockets)})
    try:
        await stop.wait()
        log.info("draining")
        lifecycle.draining = True
        for one in servers:
            one.should_exit = True
        if grpc_server:
            running.append(asyncio.create_task(grpc_server.stop(server.drain_seconds)))
        if listeners.tryon:
            running.append(asyncio.create_task(listeners.tryon.drain(server.drain_seconds)))
        await asyncio.gather(*running)
    finally:
        for task in background:
            task.cancel()
        await context.monitor.stop()
        if listeners.lipsync:
            await listeners.lipsync.stop()
        if listeners.tryon:
            await listeners.tryon.stop()
        await context.gpus.stop()
        await triton.close()
        context.tracing.shutdown()
        log.info("gateway stopped")


def _config(settings: Settings, app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        date_header=True,
        backlog=settings.server.backlog,
        timeout_keep_alive=settings.server.keep_alive_seconds,
        timeout_graceful_shutdown=max(1, round(settings.server.drain_seconds)),
    )


def _reload(context: Context, listeners: Listeners) -> None:
    context.keys.reload()
    if listeners.lipsync:
        listeners.lipsync.reload()


async def _watch_keys(keys: KeyRing) -> None:
    while True:
        await asyncio.sleep(KEYS_POLL)
        keys.reload()
