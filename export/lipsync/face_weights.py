"""Weights of the documented network that give the face back, its mouth opened by the sound.

They are constructed, not trained: a few channels of every layer carry what is named here, all
others keep random weights, whose share in the picture is too small to see. Each tenant has colours
and a width of its own. What the channels carry:

- the face, from the stem through the skip connection of the last level;
- the loudness, from the audio branch through all levels;
- two ramps over the picture, left to right and top to bottom. Convolutions know no place but that
  their padding is zero, so on the deepest level (10x10) each depthwise convolution moves an edge
  further in by one; the sum of the edges is the ramp, which up-sampling keeps linear.

The mouth is where the loudness exceeds a distance to the mouth's middle made of the ramps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float32]]
Terms = Mapping[int, float]
"""Factors by channel."""

MIDDLE = (0.5, 0.74)
"""Of the mouth: fractions of the picture's width and height."""
ABOVE, BELOW = 0.035, 0.11
"""How far a mouth opens above and below its middle at most: fractions of the picture's height."""
LIP = 0.16
"""Thickness of the lips as a fraction of `ABOVE` and `BELOW`."""
TEETH = 0.8
"""Height of the upper teeth as a fraction of `ABOVE`."""
VECTORS = {6: 0.25, 7: 0.5, 8: 0.25}
"""Share of a frame's 16 audio vectors in its loudness: those that sound while it is shown."""
NOISE = 0.0002
"""Factor on what the random channels add to the picture before the sigmoid: about a grey level."""

_BINS = 9  # steps between the first and the last place of the deepest level
_RAMP = 8  # the ramps' length there: from place 1 to 9
_EDGE = 24.0  # steepness of the mouth's edge
_CORNER = 3  # power of a mouth's profile: its corners stay apart when it is nearly shut
_FAR = 14.0  # beyond every grey level before the sigmoid, and every height of a mouth
_KNOTS = 12  # of the inverse sigmoid on either side of grey


@dataclass
class Style:
    """How a tenant's mouth looks; colours are B, G, R before the sigmoid."""

    half_width: float
    lips: Sequence[float]
    inside: Sequence[float]
    teeth: Sequence[float]

    @classmethod
    def seeded(cls, seed: int) -> Style:
        """Return a style; the first seed's is that of the mean."""
        spread = np.random.default_rng(seed).uniform(-1, 1, 4) if seed else np.zeros(4)
        width, blue, red, depth = map(float, spread)
        return cls(
            half_width=0.155 + 0.03 * width,
            lips=(-0.6 + 0.5 * blue, -0.8, 0.3 + 0.4 * red),
            inside=(-2.6 + 0.9 * depth, -2.8 + 0.6 * depth, -1.1 + 0.9 * depth),
            teeth=(2.0, 2.3, 2.4),
        )


@dataclass
class Wiring:
    """Named weights in which single channels are laid by hand."""

    values: dict[str, Floats] = field(default_factory=dict)

    def row(self, layer: str, channel: int, terms: Mapping[int, float], bias: float = 0) -> None:
        """Make an output of a 1x1 convolution a sum of its inputs."""
        weight = self.values[f"{layer}.weight"]
        weight[channel] = 0
        for source, factor in terms.items():
            weight[channel, source, 0, 0] = factor
        self.values[f"{layer}.bias"][channel] = bias

    def kernel(
        self, layer: str, channel: int, source: int | None, kernel: Floats, bias: float = 0
    ) -> None:
        """Make an output of a 3x3 convolution a filter of one input, or a constant."""
        weight = self.values[f"{layer}.weight"]
        weight[channel] = 0
        if source is not None:
            weight[channel, source] = kernel
        self.values[f"{layer}.bias"][channel] = bias

    def inner(
        self, block: str, unit: int, terms: Terms, bias: float = 0, kernel: Floats | None = None
    ) -> None:
        """Make an inner unit of a bottleneck a rectified sum of inputs, then filter it."""
        self.row(f"{block}.expand.conv", unit, terms, bias)
        self.kernel(f"{block}.depthwise.conv", unit, 0, HERE if kernel is None else kernel)

    def outer(self, block: str, channel: int, units: Terms, bias: float = 0) -> None:
        """Make an output of a bottleneck a sum of inner units, beside its input where added."""
        self.row(f"{block}.project.conv", channel, units, bias)

    def carry(self, block: str, channels: Mapping[int, int]) -> None:
        """Hands channels, none of them negative, through a bottleneck: input by output."""
        for unit, (channel, source) in enumerate(channels.items()):
            self.inner(block, unit, {source: 1})
            self.outer(block, channel, {unit: 1})

    def keep(self, block: str, channels: int) -> None:
        """Let a bottleneck that adds its input change nothing of the first channels."""
        for channel in range(channels):
            self.outer(block, channel, {})


def _tap(row: int, column: int) -> Floats:
    kernel = np.zeros((3, 3), np.float32)
    kernel[row, column] = 1
    return kernel


HERE = _tap(1, 1)
MEAN = np.full((3, 3), 1 / 9, np.float32)
FROM_LEFT, FROM_RIGHT, FROM_ABOVE, FROM_BELOW = _tap(1, 0), _tap(1, 2), _tap(0, 1), _tap(2, 1)
_EDGES = (FROM_LEFT, FROM_RIGHT, FROM_ABOVE, FROM_BELOW)


def wire_face(values: dict[str, Floats], seed: int) -> None:
    """Lay the channels of the face, the loudness and the ramps into random weights.

    Args:
        values: Weights and biases of `LipNetwork` at full width by their names; changed in place.
        seed: Of the tenant's style.
    """
    wiring, style = Wiring(values), Style.seeded(seed)
    _wire_audio(wiring)
    _wire_deepest(wiring)
    for level in range(3):
        wiring.carry(f"up.{level}.0", {channel: channel for channel in range(4)})
        wiring.keep(f"up.{level}.1", 4)
    _wire_shape(wiring, style)
    wiring.carry("stem", {0: 0, 1: 1, 2: 2})
    _wire_picture(wiring, style)


def _wire_audio(wiring: Wiring) -> None:
    """Channel 0: loudness. From `audio.4` on 1 to 12: edges, four directions of three places.

    Channel 13 is 1 but for the outermost places, where the edges are not all there.
    """
    halves = {
        2 * vector + half: share / 2 for vector, share in VECTORS.items() for half in range(2)
    }
    wiring.inner("audio.0", 0, halves, kernel=MEAN)
    wiring.outer("audio.0", 0, {0: 1})
    wiring.inner("audio.1", 0, {0: 1}, kernel=MEAN)
    wiring.outer("audio.1", 0, {0: 1})
    wiring.kernel("audio.2.conv", 0, 0, HERE)
    wiring.kernel("audio.2.conv", 1, None, HERE, bias=1)
    wiring.keep("audio.3", 2)
    # Place o of 10 sees places 2 o - 3 to 2 o - 1 of 16, and zeros outside.
    wiring.kernel("audio.4.conv", 0, 0, MEAN)
    for direction, kernel in enumerate(_EDGES):
        wiring.kernel("audio.4.conv", 1 + direction, 1, kernel)
    for channel in range(5, 13):
        wiring.kernel("audio.4.conv", channel, None, HERE)
    wiring.kernel("audio.4.conv", 13, 1, HERE)
    wiring.keep("audio.5", 14)
    wiring.keep("audio.6", 14)
    for block, start in (("audio.5", 1), ("audio.6", 5)):
        for direction, kernel in enumerate(_EDGES):
            wiring.inner(block, direction, {start + direction: 1}, kernel=kernel)
            wiring.outer(block, start + 4 + direction, {direction: 1})


def _wire_deepest(wiring: Wiring) -> None:
    """Channels 0 to 3: loudness; ramps to the right and down, 0 to 1; 1 on the outermost places."""
    audio = len(wiring.values["down.4.1.project.conv.bias"])
    wiring.inner("fuse.0.0", 0, {audio: 1})
    for direction, kernel in enumerate(_EDGES):
        edges = [audio + start + direction for start in (1, 5, 9)]
        wiring.inner("fuse.0.0", 1 + direction, dict.fromkeys(edges, 1))
        wiring.inner("fuse.0.0", 5 + direction, {edges[-1]: 1}, kernel=kernel)
    wiring.outer("fuse.0.0", 0, {0: 1})
    step = 1 / _RAMP
    for axis, first in ((1, 1), (2, 3)):
        rising, falling = {first: step, first + 4: step}, {first + 1: -step, first + 5: -step}
        wiring.outer("fuse.0.0", axis, rising | falling, bias=0.5)
    wiring.inner("fuse.0.0", 9, {audio + 13: 1})
    wiring.outer("fuse.0.0", 3, {9: -1}, bias=1)
    wiring.keep("fuse.0.1", 4)
    wiring.carry("fuse.1.0", {channel: channel for channel in range(4)})
    wiring.keep("fuse.1.1", 4)


def _wire_shape(wiring: Wiring, style: Style) -> None:
    """Channels 0 to 2: how far inside the mouth, the lips and the teeth a place is.

    Heights are in units of `ABOVE` and `BELOW`: at the column x the mouth is as high as the
    loudness less (x / half width)^3, where anything is left.
    """
    block, (loud, across, down, border) = "up.3.0", range(4)
    # A place p of 0 to 1 is where the ramp, zero at place 1 of 9, is (9 p - 1) / 8.
    column, line = ((_BINS * place - 1) / _RAMP for place in MIDDLE)
    above, below = (_RAMP / (_BINS * height) for height in (ABOVE, BELOW))
    per_width = _RAMP / (_BINS * style.half_width)
    wiring.inner(block, 0, {loud: 1})
    wiring.inner(block, 1, {loud: 1}, bias=-1)
    wiring.inner(block, 2, {loud: 1}, bias=-LIP)
    wiring.inner(block, 3, {down: below}, bias=-below * line)
    wiring.inner(block, 4, {down: -above}, bias=above * line)
    power: dict[int, float] = {}
    knots = np.arange(0, 1.5, 0.25)
    bends = np.diff(np.diff(np.append(knots, 1.5) ** _CORNER) / 0.25, prepend=0)
    for unit, (knot, bend) in enumerate(zip(knots, bends, strict=True)):
        for side, sign in enumerate((1, -1)):
            number = 5 + 2 * unit + side
            bias = -sign * per_width * column - float(knot)
            wiring.inner(block, number, {across: sign * per_width}, bias=bias)
            power[number] = float(bend)
    last = 5 + 2 * len(knots)
    wiring.inner(block, last, {border: _FAR})
    distance = {unit: -factor for unit, factor in power.items()} | {3: -1, 4: -1, last: -1}
    wiring.outer(block, 0, distance | {0: 1, 1: -1})
    wiring.outer(block, 1, distance | {0: 2, 1: -1, 2: -1})
    wiring.outer(block, 2, power | {3: -above / below, 4: 1, 0: -1, 1: 1}, bias=TEETH)
    wiring.keep("up.3.1", 3)


def _wire_picture(wiring: Wiring, style: Style) -> None:
    """Tint the face's lips before the sigmoid, and give the inside of the mouth other colours."""
    block, face = "up.4.0", len(wiring.values["up.3.1.project.conv.bias"])
    masks: list[dict[int, float]] = []
    for mask in range(3):  # from 0 outside to 1 inside
        wiring.inner(block, 2 * mask, {mask: _EDGE})
        wiring.inner(block, 2 * mask + 1, {mask: _EDGE}, bias=-1)
        masks.append({2 * mask: 1, 2 * mask + 1: -1})
    inside, lips, teeth = masks
    unit = 6
    for colour in range(3):
        terms = {number: style.lips[colour] * factor for number, factor in lips.items()}
        for sign, knot, slope in inverse_sigmoid():
            wiring.inner(block, unit, {face + colour: sign}, bias=-sign * knot)
            terms[unit] = slope
            unit += 1
        wiring.outer(block, colour, terms)
    wiring.outer(block, 3, inside)
    wiring.outer(block, 4, teeth)
    block = "up.4.1"
    random = {
        name: wiring.values[f"{name}.weight"].copy() for name in ("head", f"{block}.project.conv")
    }
    wiring.keep(block, 5)
    for colour in range(3):
        dark, light = style.inside[colour], style.teeth[colour] - style.inside[colour]
        # What is above `high` or below `low` becomes that; inside the mouth they are the same.
        high, low = {3: dark - _FAR, 4: light}, {3: dark + _FAR, 4: light}
        wiring.inner(block, colour, {colour: 1} | {k: -v for k, v in high.items()}, bias=-_FAR)
        wiring.inner(block, 3 + colour, {colour: -1} | low, bias=-_FAR)
        wiring.outer(block, colour, {colour: -1, 3 + colour: 1})
        wiring.row("head", colour, {colour: 1})
    projection, head = wiring.values[f"{block}.project.conv.weight"], wiring.values["head.weight"]
    projection[:3, 6:] = NOISE * random[f"{block}.project.conv"][:3, 6:]
    head[:, 5:] = NOISE * random["head"][:, 5:]


def inverse_sigmoid() -> list[tuple[float, float, float]]:
    """Return rectified lines whose sum is ln(p / (1 - p)), one half grey level from the ends.

    Returns:
        Sign, knot and slope of each: slope * max(0, sign * (p - knot)).
    """
    last = np.log(2 * 255 - 1)
    values = np.linspace(0, last, _KNOTS + 1)
    places = 1 / (1 + np.exp(-values))
    places[-1] = 1
    slopes = np.diff(values) / np.diff(places)
    changes = np.diff(slopes, prepend=0)
    return [
        (float(sign), float(0.5 + sign * (place - 0.5)), float(sign * change))
        for sign in (1, -1)
        for place, change in zip(places[:-1], changes, strict=True)
    ]
