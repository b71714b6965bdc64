"""Runs the gateway: all ports in one process and one event loop, drained on a signal."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Sequence

from gateway.app import assemble
from gateway.context import Context
from gateway.health.engine import Reports
from gateway.health.loading import Leadership, ModelLoader
from gateway.health.monitor import HealthMonitor
from gateway.health.processes import ModelProcesses
from gateway.http.assembly import Assembly
from gateway.http.server.listener import Listener, connections_per_listener, raise_limit
from gateway.lifecycle import Lifecycle
from gateway.memory import keep_large_buffers, keep_returning, tame_garbage_collector
from gateway.placement import forced_devices
from gateway.private_files import ENGINES, private_way
from gateway.security import KeyRing
from gateway.settings import Settings
from gateway.settings.socket_file import socket_file
from gateway.sockets import listening
from gateway.telemetry.activity import Activity
from gateway.telemetry.disks import DiskCollector, temporary_folder
from gateway.telemetry.gpu import GpuCollector, GpuSampler, gpu_source
from gateway.telemetry.log import LostLinesCollector
from gateway.telemetry.metrics import MemberCollector, Metrics
from gateway.telemetry.tracing import Tracing
from gateway.triton import TritonPool, TritonPort, connect
from gateway.triton.tensorrt_plans.choice import PlanChooser

log = logging.getLogger(__name__)
KEYS_POLL = 1.0  # seconds between looks at the keys file
LOCK_FILE = "gateway.lock"


def admin_key(settings: Settings) -> str:
    """Return the configured key of Triton's restricted APIs, empty where there is none.

    Raises:
        ValueError: `triton.admin_key_file` is unreadable.
    """
    try:
        return settings.triton.read_admin_key()
    except OSError as error:
        raise ValueError(f"triton.admin_key_file: {error.strerror}") from None


def _look_at_the_socket(settings: Settings) -> None:
    """Make sure that nobody else can answer for the embedded Triton.

    Raises:
        ValueError: another user could.
    """
    file = socket_file(settings.triton.urls[0]) if settings.triton.start else None
    if file is not None:
        try:
            private_way(file)
        except OSError as error:
            where = error.filename or file.parent
            raise ValueError(f"triton.url: {where}: {error.strerror}") from None


def build_context(settings: Settings, triton: TritonPort) -> Context:
    """Create the shared parts; call it inside the running loop.

    Raises:
        ValueError: the keys file is unreadable.
    """
    metrics = Metrics()
    gpus = GpuSampler(settings.telemetry.gpu, gpu_source(settings))
    metrics.add(GpuCollector(gpus.histories))
    metrics.add(DiskCollector({"state": settings.paths.state, "tmp": temporary_folder()}))
    metrics.add(LostLinesCollector())
    reports = Reports(settings.paths.state / ENGINES)
    monitor = HealthMonitor(
        triton,
        settings.health,
        metrics,
        ModelLoader(triton, metrics, forced_devices(settings), plan_chooser(settings), reports),
        Leadership(settings.paths.state / LOCK_FILE, candidate=settings.triton.control),
        ModelProcesses(settings.triton.urls[0]),
        reports,
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


async def serve(settings: Settings, handed_over: Sequence[socket.socket] = ()) -> None:
    """Serve until SIGINT or SIGTERM, then finish what runs within ``server.drain_seconds``.

    Args:
        settings: the configuration.
        handed_over: listening sockets; other ports are opened here.

    Raises:
        OSError: a port is taken.
        ValueError: the keys file is unreadable, the try-on jobs cannot be kept, or a socket is not
            what the configuration says.
    """
    keep_large_buffers()
    _look_at_the_socket(settings)
    triton = connect(settings.triton, admin_key(settings))
    context = build_context(settings, triton)
    lifecycle = Lifecycle()
    assembly = assemble(context, lifecycle)
    if isinstance(triton, TritonPool):
        context.metrics.add(MemberCollector(triton.serving))
        monitor = context.monitor
        triton.keep(monitor.needed(), monitor.leads, forced_devices(settings))
    apps = [(settings.server.port, assembly.main), *assembly.ports.items()]
    server = settings.server
    sockets = listening(settings, handed_over)
    capacity = lifecycle.connections = _capacity(settings, len(apps))
    listeners = [Listener(app, server, capacity, context.metrics, port) for port, app in apps]
    for part in assembly.background:
        await part.start()
    await context.gpus.start()
    context.monitor.start()
    tasks = [
        asyncio.create_task(_watch_keys(context.keys)),
        asyncio.create_task(keep_returning()),
    ]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, _reload, assembly)
    running = [
        asyncio.create_task(listener.serve(sockets[port]))
        for listener, (port, _) in zip(listeners, apps, strict=True)
    ]
    tame_garbage_collector()
    extra = {"host": server.host, "ports": list(sockets), "connections_per_port": capacity}
    log.info("gateway listening", extra=extra)
    try:
        await stop.wait()
        log.info("draining")
        lifecycle.draining = True
        for listener in listeners:
            listener.should_exit = True
        seconds = server.drain_seconds
        running += [asyncio.create_task(part.drain(seconds)) for part in assembly.background]
        await asyncio.gather(*running)
    finally:
        for task in tasks:
            task.cancel()
        await context.monitor.stop()
        for part in assembly.background:
            await part.stop()
        await context.gpus.stop()
        await triton.close()
        context.tracing.shutdown()
        log.info("gateway stopped")


def _capacity(settings: Settings, listeners: int) -> int:
    """Return the connections of one port; the gRPC port counts as one more."""
    return connections_per_listener(
        raise_limit(), listeners + 1, settings.server.connections.max_per_port
    )


def _reload(assembly: Assembly) -> None:
    assembly.context.keys.reload()
    for part in assembly.background:
        part.reload()


async def _watch_keys(keys: KeyRing) -> None:
    while True:
        await asyncio.sleep(KEYS_POLL)
        await asyncio.to_thread(keys.reload)  # a long file takes seconds to parse
