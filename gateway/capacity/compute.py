"""Works a configuration out for a machine."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

from gateway.capacity import diffusion, facts
from gateway.capacity.facts import TENANT_ON_CPU, TENANT_ON_GPU
from gateway.capacity.machine import GB, Machine
from gateway.capacity.networks import Deployed, needed
from gateway.capacity.placement import Device, Sizing, TenantRoom, judge, tenants_that_fit
from gateway.model_config import parameters, read_config
from gateway.services.lipsync.tenants.catalogue import SUFFIX, configured
from gateway.services.registry import SERVICES
from gateway.settings import Settings

OVERHEAD = TENANT_ON_CPU - 2 * TENANT_ON_GPU
"""Bytes of a tenant on a CPU beside its weights in FP32, which are twice those in FP16."""


def size_up(settings: Settings, machine: Machine, devices: dict[str, str]) -> Sizing:
    """Return what goes where.

    ``devices`` are those that the configuration forces models to, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        OSError: a configuration in the model repository cannot be read.
        ValueError: one is wrong.
    """
    gpus = [
        Device(f"GPU {number}", round(gpu.memory_gb * GB))
        for number, gpu in enumerate(machine.gpus)
    ]
    host = Device("host", round(machine.memory_gb * GB))
    sizing = Sizing([*gpus, host])
    usable = gpus if machine.onnxruntime_gpu or not settings.triton.start else []
    if len(usable) < len(gpus):
        sizing.notes.append(
            "ONNX networks run on the CPU: the package onnxruntime-gpu is not installed "
            "(`make env` takes it where the NVIDIA driver is 580 or newer, on Python 3.11 or later)"
        )
    _place_networks(sizing, settings, usable, host, needed(settings, devices))
    _place_processes(settings, host)
    for model in _vision_language_models(settings):
        _place_vlm(sizing, settings, model, gpus, host)
    if "tryon" in settings.services:
        _place_tryon(sizing, settings, gpus)
    if "lipsync" in settings.services:
        _place_lipsync(sizing, settings, gpus, host)
    for device in sizing.devices:
        sizing.problems += judge(device)
    return sizing


def _place_networks(
    sizing: Sizing, settings: Settings, gpus: list[Device], host: Device, networks: list[Deployed]
) -> None:
    """On the first GPUs, as many as a network is meant for; else on the host."""
    plans, embedded = settings.triton.use_plans, settings.triton.start
    used: set[str] = set()
    for network in networks:
        if not network.known:
            sizing.notes.append(f"{network.model}: only its weights are counted")
        targets = _targets(sizing, network, gpus)
        if embedded and targets:  # gateway.triton.placing.with_one_process
            network = dataclasses.replace(network, instances=1)
        for gpu in targets:
            engine = "plan, ONNX until it is there" if plans and network.on_plan else "ONNX Runtime"
            gpu.add(network.model, engine, network.instances, network.gpu_bytes(plans))
            used.add(gpu.name)
            if embedded:
                gpu.add(f"{network.model}: context", "CUDA", 1, facts.CONTEXT)
        if not targets:
            host.add(network.model, "ONNX Runtime", network.instances, network.cpu_bytes())
        if embedded:  # a process for each instance of the Python-based backend
            count = network.instances * max(1, len(targets))
            size = count * facts.PYTHON_PROCESS
            host.add(f"{network.model}: processes", "python", count, size)
    for gpu in gpus:
        if gpu.name in used:
            gpu.add("tritonserver: context", "CUDA", 1, facts.CONTEXT)
            if plans and gpu is gpus[0]:
                size = facts.CONTEXT + facts.plan_workspace(gpu.capacity)
                gpu.add("building of plans", "TensorRT", 1, size)


def _targets(sizing: Sizing, network: Deployed, gpus: list[Device]) -> list[Device]:
    if network.forced == "cpu":
        return []
    if not network.forced:
        return gpus[: network.cards or None]
    return _gpu(sizing, gpus, network.forced, network.model)


def _gpu(sizing: Sizing, gpus: list[Device], device: str, model: str) -> list[Device]:
    index = int(device.partition(":")[2] or 0)
    if index < len(gpus):
        return [gpus[index]]
    sizing.problems.append(f"{model} is to run on {device}, but there are {len(gpus)} GPUs")
    return []


def _place_processes(settings: Settings, host: Device) -> None:
    count = sum(SERVICES[service].python_models for service in settings.services)
    if count:
        host.add("Python models", "python", count, count * facts.PYTHON_PROCESS)


def _vision_language_models(settings: Settings) -> list[str]:
    """Return the models on vLLM; stories and chat mostly share one."""
    names = []
    if "iot" in settings.services and settings.iot.emotions.engine == "vlm":
        names.append(settings.iot.emotions.vlm_model)
    if "vlm" in settings.services:
        names.append(settings.vlm.vlm_model)
    return list(dict.fromkeys(names))


def _place_vlm(
    sizing: Sizing, settings: Settings, model: str, gpus: list[Device], host: Device
) -> None:
    """As vLLM takes a share of the whole of each card, weights and key-value cache together.

    A checkpoint in a folder may be small enough for vLLM's CPU build; the one of the hub is not.
    """
    folder = settings.paths.repository / model
    values = parameters(read_config(folder / "config.pbtxt"))
    share, cards = float(values["memory_fraction"]), int(values["tensor_parallel_size"])
    checkpoint = folder / values["model"]
    if not gpus and checkpoint.is_dir():
        weights = sum(file.stat().st_size for file in checkpoint.glob("*.safetensors"))
        host.add(model, "vLLM on the CPU", 1, weights)
        sizing.notes.append(f"{model} runs on the CPU: its key-value cache is not counted")
        return
    if len(gpus) < cards:
        sizing.problems.append(f"{model} needs {cards} GPUs, there are {len(gpus)}")
        return
    for gpu in gpus[:cards]:
        size = share * gpu.capacity
        if size < facts.VLM_WEIGHTS / cards:
            sizing.problems.append(
                f"{gpu.name}: memory_fraction {share} of {model} is {size / GB:.1f} GB, its "
                f"weights alone are {facts.VLM_WEIGHTS / cards / GB:.1f} GB"
            )
        gpu.add(f"{model} (memory_fraction {share})", "vLLM", 1, size)


def _place_tryon(sizing: Sizing, settings: Settings, gpus: list[Device]) -> None:
    model = settings.tryon.model
    if model.engine == "warp" or model.device == "cpu":
        return
    for gpu in _gpu(sizing, gpus, model.device, settings.tryon.triton_model):
        kept, size = diffusion.needed(model, gpu.capacity)
        gpu.add(
            settings.tryon.triton_model, f"{model.engine} {model.default_mode} ({kept})", 1, size
        )


def _place_lipsync(sizing: Sizing, settings: Settings, gpus: list[Device], host: Device) -> None:
    lipsync = settings.lipsync
    wanted = lipsync.capacity.max_models
    tenants = tenants_of(settings)
    budget = round(lipsync.gpus.memory_gb_per_gpu * 2**30)
    on_gpus = bool(gpus) and lipsync.gpus.enabled is not False
    if lipsync.gpus.enabled and not gpus:
        sizing.notes.append("lipsync.gpus.enabled is true, but there is no GPU: the CPU computes")
    if on_gpus and len(lipsync.device_models) > len(gpus):
        sizing.problems.append(f"lipsync.gpus.count is {lipsync.gpus.count}, GPUs: {len(gpus)}")
    if on_gpus and len(lipsync.device_models) < len(gpus):
        sizing.notes.append(
            f"{len(gpus) - lipsync.gpus.count} GPUs without lip-sync: lipsync.gpus.count is "
            f"{lipsync.gpus.count}"
        )
    models = lipsync.device_models
    host.add("lip-sync models", "python", len(models), len(models) * facts.PYTHON_PROCESS)
    if not on_gpus:
        host.add("lip-sync frames", "ONNX Runtime", 1, facts.FRAME_ACTIVATIONS)
    for number, model in enumerate(models):
        if on_gpus and number < len(gpus):
            room = _lipsync_on(sizing, gpus[number], host, model, wanted, tenants.on_gpu, budget)
            gpus[number].tenants.append(room)
    if not on_gpus:
        free = max(0, host.usable - host.fixed) // len(models)
        size = tenants.on_cpu
        fit = tenants_that_fit(free, size, budget=budget)
        host.tenants += [TenantRoom(model, fit, wanted, size) for model in models]
    _judge_tenants(sizing, tenants.kept)


def _lipsync_on(
    sizing: Sizing, gpu: Device, host: Device, model: str, wanted: int, size: int, budget: int
) -> TenantRoom:
    """Context and slots on a card; returns how many tenants of ``size`` bytes have room beside."""
    slots = facts.GPU_SLOTS * facts.SLOT
    gpu.add("lip-sync: context", "CUDA", 1, facts.CONTEXT)
    free = gpu.usable - gpu.fixed
    fit = tenants_that_fit(free, size, slots=slots, budget=budget)
    if not budget and len(gpu.items) > 1:  # more there than lip-sync's own context
        gpu.lipsync_room = max(0, free)
        sizing.notes.append(_share(gpu, free - slots))
    gpu.add("lip-sync: slots", "torch, CUDA graphs", facts.GPU_SLOTS, slots)
    if not budget and wanted > fit:
        pinned = min((wanted - fit) * size, facts.PINNED)
        host.add(f"{model}: tenants beyond {gpu.name}", "pinned memory", 1, pinned)
    return TenantRoom(model, fit, wanted, size)


def _share(gpu: Device, room: int) -> str:
    """Tell lip-sync's part of a card, which does not depend on who is loaded first."""
    gibibytes = math.floor(max(0, room) / 2**30 * 10) / 10
    return (
        f"{gpu.name} is shared: under a Triton that Pentad starts lip-sync takes no more than the "
        f"others leave; under another one what is free when it is loaded, unless "
        f"lipsync.gpus.memory_gb_per_gpu says {gibibytes:g}"
    )


def _judge_tenants(sizing: Sizing, kept: int) -> None:
    """One tenant must fit on every device, and all that are pinned somewhere."""
    rooms = [(device, room) for device in sizing.devices for room in device.tenants]
    for device, room in rooms:
        if room.fit == 0:
            sizing.problems.append(f"{device.name}: no room for one lip-sync tenant")
    together = sum(room.fit for _, room in rooms)
    if rooms and kept > together:
        sizing.problems.append(f"{kept} tenants are pinned, {together} have room")


def with_all_gpus(settings: Settings, machine: Machine) -> Settings:
    """Return the settings with a lip-sync device on every GPU, unless they say how many."""
    gpus = settings.lipsync.gpus
    if "count" in gpus.model_fields_set or not machine.gpus:
        return settings
    gpus = gpus.model_copy(update={"count": len(machine.gpus)})
    lipsync = settings.lipsync.model_copy(update={"gpus": gpus})
    return settings.model_copy(update={"lipsync": lipsync})


def as_json(sizing: Sizing) -> dict[str, object]:
    """Return a sizing as JSON-like values, bytes as they are."""
    devices = []
    for device in sizing.devices:
        row = dataclasses.asdict(device)
        row["usable"], row["used"] = device.usable, device.used
        devices.append(row)
    return {
        "fits": sizing.fits,
        "problems": sizing.problems,
        "notes": sizing.notes,
        "devices": devices,
    }


@dataclass(frozen=True)
class Tenants:
    """The tenants of a configuration.

    Attributes:
        on_gpu: mean bytes of one on a GPU.
        on_cpu: mean bytes of one on a CPU.
        kept: how many are never evicted.
    """

    on_gpu: int
    on_cpu: int
    kept: int


def tenants_of(settings: Settings) -> Tenants:
    """Return what the configured tenants and those of the watched folder take.

    A file holds weights in FP32. The demo's tenants count as documented ones.

    Raises:
        ValueError: a path leaves ``lipsync.models_root``.
    """
    lipsync = settings.lipsync
    entries = configured(lipsync.models, lipsync.models_root)
    files = [entry.file for entry in entries]
    if lipsync.watch_folder is not None and lipsync.watch_folder.is_dir():
        files += lipsync.watch_folder.glob(f"*{SUFFIX}")
    sizes = [size for file in files if (size := _size(file))]
    kept = sum(entry.pinned for entry in entries)
    if not sizes:
        return Tenants(TENANT_ON_GPU, TENANT_ON_CPU, kept)
    mean = sum(sizes) // len(sizes)
    return Tenants(max(1, mean // 2), mean + OVERHEAD, kept)


def _size(file: Path) -> int:
    """Bytes of a file; 0 for one that is not here."""
    try:
        return file.stat().st_size
    except OSError:
        return 0
