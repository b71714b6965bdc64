"""A plan as a person reads it."""

from __future__ import annotations

from gateway.capacity.machine import GB, Machine
from gateway.capacity.placement import Device, Plan, TenantRoom


def text(found: Plan, machine: Machine) -> str:
    """Return tables of devices, equal ones once, then what does not fit."""
    lines = [f"{_machine(machine)}\n"]
    groups: dict[str, list[Device]] = {}
    for device in found.devices:
        groups.setdefault(_body(device), []).append(device)
    for body, devices in groups.items():
        names = devices[0].name
        if len(devices) > 1:
            names = f"{devices[0].name} to {devices[-1].name.split()[-1]}, each"
        lines += [f"{names}: {devices[0].capacity / GB:.1f} GB", body, ""]
    lines += [f"note: {note}" for note in found.notes]
    lines += [f"DOES NOT FIT: {problem}" for problem in found.problems]
    lines += ["fits"] if found.fits else []
    return "\n".join(lines)


def _machine(machine: Machine) -> str:
    names = sorted({gpu.name for gpu in machine.gpus})
    gpus = f"{len(machine.gpus)} x {' / '.join(names)}" if names else "no GPU"
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
