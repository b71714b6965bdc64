"""A plan as a person reads it."""

from __future__ import annotations

from collections import Counter

from gateway.capacity.machine import GB, Machine
from gateway.capacity.placement import Device, Sizing, TenantRoom


def text(sizing: Sizing, machine: Machine) -> str:
    """Return tables of devices, equal ones once, then what does not fit."""
    lines = [f"{_machine(machine)}\n"]
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


def _machine(machine: Machine) -> str:
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
