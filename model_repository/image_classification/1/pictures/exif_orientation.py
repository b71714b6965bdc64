"""The orientation in EXIF data, and nothing else of it. Pure Python.

A general reader of EXIF follows every offset in it: a megabyte of entries that all point to the
same megabyte becomes gigabytes.
"""

from __future__ import annotations

import struct

ORIENTATION = 0x0112  # EXIF 2.32, 4.6.4
MAX_ENTRIES = 1000
"""Of the first directory that are looked through; cameras write about fifteen."""
_SHORT, _LONG = 3, 4


def exif_orientation(exif: bytes | None) -> int:
    """Orientation, 1 to 8; 1 where the data has none or is damaged.

    Args:
        exif: A TIFF header and its directories, with or without `Exif` in front.
    """
    data = exif or b""
    if data.startswith(b"Exif\0\0"):
        data = data[6:]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        for place in range(min(count, MAX_ENTRIES)):
            tag, kind = struct.unpack_from(order + "HH", data, start + 2 + 12 * place)
            if tag == ORIENTATION and kind in (_SHORT, _LONG):
                layout = order + ("H" if kind == _SHORT else "I")
                (value,) = struct.unpack_from(layout, data, start + 2 + 12 * place + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
