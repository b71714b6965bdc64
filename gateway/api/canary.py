"""The picture of the canary inference."""

from __future__ import annotations

from gateway.api.png import png_grey

SIDE = 32  # pixels

CANARY_IMAGE = png_grey(bytes(255 * column // (SIDE - 1) for column in range(SIDE)) * SIDE, SIDE)
"""A horizontal grey ramp, 32x32 pixels, about 100 bytes."""
