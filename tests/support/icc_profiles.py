"""Colour profiles (ICC.1:2001), written here: of phones, of cameras and of a printer."""

from __future__ import annotations

import itertools
import struct

import numpy as np

_D50 = (0.9642, 1.0, 0.8249)
# Primaries adapted to D50, as the public specifications of the spaces give them.
DISPLAY_P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))


def rgb_profile(primaries: tuple[tuple[float, ...], ...], gamma: float | None = None) -> bytes:
    """A profile of three primaries, with sRGB's curve or a power."""
    levels = np.linspace(0, 1, 1024)
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    values = (65535 * (linear if gamma is None else levels**gamma)).round().astype(">u2")
    curve = b"curv\0\0\0\0" + struct.pack(">I", 1024) + values.tobytes()
    tags = [
        (b"wtpt", _xyz(_D50)),
        *(
            (name, _xyz(xyz))
            for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)
        ),
        *((name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")),
    ]
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def cmyk_profile() -> bytes:
    """A printer whose inks are perfect: each takes its complement away."""
    table = bytearray()
    for inks in itertools.product((0, 1), repeat=4):
        colour = [(1 - ink) * (1 - inks[3]) for ink in inks[:3]]
        light, a, b = _lab(np.array(colour, float))
        table += bytes([round(light * 2.55), round(a + 128), round(b + 128)])
    line = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0])
    lut += struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut += line * 4 + bytes(table) + line * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", [(b"wtpt", _xyz(_D50)), (b"A2B0", lut)])


def bomb_profile() -> bytes:
    """A profile of a few bytes whose table would have 255 x 255 x 255 x 255 colours."""
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 255, 0]) + bytes(36) + bytes(range(256)) * 7
    return _profile(b"prtr", b"CMYK", b"Lab ", [(b"wtpt", _xyz(_D50)), (b"A2B0", lut)])


def _lab(rgb: np.ndarray) -> tuple[float, float, float]:
    to_xyz = np.array(
        [[0.4360, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7139]]
    )
    ratio = to_xyz @ rgb / np.array(_D50)
    root = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return 116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in values)


def _profile(kind: bytes, space: bytes, through: bytes, tags: list[tuple[bytes, bytes]]) -> bytes:
    words = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    table, body = b"", b""
    tags = [(b"desc", words), (b"cprt", b"text\0\0\0\0CC0\0"), *tags]
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags:
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x02100000, kind, space, through)
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", *(round(v * 65536) for v in _D50))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
