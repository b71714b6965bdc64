"""`pentad capacity`: the sizing of this machine or another one, for a person or a program."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from gateway.capacity.compute import as_json, size_up, with_all_gpus
from gateway.capacity.machine import GB, Machine, MachineError, described, from_file, this_machine
from gateway.capacity.placement import Device, Sizing, TenantRoom
from gateway.placement import forced_devices
from gateway.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that describe a machine."""
    parser.add_argument("--gpus", type=int, metavar="N", help="of a machine with N equal GPUs")
    parser.add_argument("--memory-gb", type=float, metavar="GB", help="of each, or of a CPU's host")
    parser.add_argument("--host-memory-gb", type=float, metavar="GB", help="default: as the GPUs'")
    parser.add_argument("--machine", type=Path, metavar="FILE", help="a machine in YAML or JSON")
    parser.add_argument("--container", action="store_true", help="with NVIDIA's Triton, not ours")
    parser.add_argument("--json", action="store_true", help="bytes, for programs")


def run(settings: Settings, args: argparse.Namespace) -> int:
    """Print the plan; 1: it does not fit, 2: the machine or the repository cannot be read."""
    try:
        machine = _machine(args)
        if args.container:
            triton = settings.triton.model_copy(update={"start": False})
            settings = settings.model_copy(update={"triton": triton})
        sizing = _plan(settings, machine, assume=_is_described(args))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"plan: {error}\n")
        return 2
    shown = json.dumps(as_json(sizing), indent=1) if args.json else text(sizing, machine)
    sys.stdout.write(shown + "\n")
    return 0 if sizing.fits else 1


def _is_described(args: argparse.Namespace, *, file: bool = True) -> bool:
    """Whether another machine than this one is meant."""
    return (file and bool(args.machine)) or args.gpus is not None or args.memory_gb is not None


def _plan(settings: Settings, machine: Machine, *, assume: bool) -> Sizing:
    """Work it out; for a described machine with lip-sync on every GPU unless the count is set."""
    wanted = with_all_gpus(settings, machine) if assume else settings
    sizing = size_up(wanted, machine, forced_devices(wanted))
    count = wanted.lipsync.gpus.count
    if count != settings.lipsync.gpus.count:
        sizing.notes.append(f"worked out with lipsync.gpus.count: {count}, which must be set")
    return sizing


def _machine(args: argparse.Namespace) -> Machine:
    """Return the described machine; this one where nothing is said.

    Raises:
        MachineError: the description is none.
    """
    if args.machine and (_is_described(args, file=False) or args.host_memory_gb is not None):
        raise MachineError("--machine describes all of it: leave the other options out")
    if args.machine:
        return from_file(args.machine)
    if not _is_described(args) and args.host_memory_gb is None:
        return this_machine()
    if args.memory_gb is None:
        raise MachineError("--gpus and --host-memory-gb need --memory-gb")
    return described(args.gpus or 0, args.memory_gb, args.host_memory_gb)


def text(sizing: Sizing, machine: Machine) -> str:
    """Return tables of devices, equal ones once, then what does not fit."""
    lines = [f"{_headline(machine)}\n"]
    groups: dict[str, list[Device]] = {}
    for device in sizing.devices:
        groups.setdefault(_body(device), []).append(device)
    for body, devices in groups.items():
        lines += [f"{_names(devices)}: {devices[0].capacity / GB:.1f} GB", body, ""]
    lines += [f"note: {note}" for note in sizing.notes]
    lines += [f"DOES NOT FIT: {problem}" for problem in sizing.problems]
    lines += ["fits"] if sizing.fits else []
    return "\n".join(lines)


def _names(devices: list[Device]) -> str:
    """``GPU 0 to 3, 6, each`` for several."""
    if len(devices) == 1:
        return devices[0].name
    runs: list[list[int]] = []
    for number in (int(device.name.split()[-1]) for device in devices):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    return f"GPU {', '.join(words)}, each"


def _headline(machine: Machine) -> str:
    kinds = Counter(gpu.name for gpu in machine.gpus)
    gpus = ", ".join(f"{count} x {name}" for name, count in kinds.items()) or "no GPU"
    return f"{gpus}, host memory {machine.memory_gb:.0f} GB"


def _body(device: Device) -> str:
    rows = [
        f"  {item.what:<36} {item.engine:<28} x{item.instances:<3} {item.bytes / GB:7.2f} GB"
        for item in device.items
    ]
    rows += [_tenants(room) for room in device.tenants]
    share = device.used / device.capacity
    rows.append(
        f"  used {device.used / GB:.1f} of {device.usable / GB:.1f} GB that may be ({share:.0%})"
    )
    return "\n".join(rows)


def _tenants(room: TenantRoom) -> str:
    """Names no model, so that equal devices read the same."""
    size = room.resident * room.bytes / GB
    if room.fit >= room.wanted:
        words = f"all {room.wanted:,} (room for {room.fit:,})"
    else:
        words = f"{room.fit:,} of {room.wanted:,} at a time"
    return f"  {'lip-sync tenants':<36} {words:<33} {size:7.2f} GB"
