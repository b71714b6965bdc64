"""The arithmetic of docs/operations/scale.md: cards, network and gateways for frames a second.

python -m gateway.capacity.scale docs/operations/scale.md     # fills the page's tables in
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.capacity import facts

FRAMES_PER_SECOND = 25
"""Of one talking face; the frame rate that audio features are made for."""
TALKING = 0.27
"""Share of the time that a user's face talks; makes the old server's two figures agree."""
USERS = 710
FRAMES = 4_800
"""Frames a second; with USERS the old server's design figures."""

PIXELS = 320 * 320
GIGABIT = 1e9 / 8
TRAFFIC = 199_000_000 * 2 + facts.TENANT_ON_GPU
"""Bytes that a frame moves in the GPU's memory: 179 million numbers in and out of convolutions and
20 million around them, in FP16, and the weights once."""
LOAD = 0.5
"""Share of what is possible that is planned with: queues stay short, one of two may fail."""
ADDED_FLOAT32, ADDED_UINT8 = 0.1534, 0.0548
"""Seconds that the gateway added to a call of 25 frames, six channels of FP32 and three of UINT8
(load_tests/RESULTS.md), clients and computing on the same two cores: upper bounds."""


@dataclass(frozen=True)
class Wire:
    """A format of frames on the wire (docs/services/lipsync.md).

    Attributes:
        name: as that page has it.
        into: bytes of a frame to the server, without audio.
        out: bytes of a mouth to the client.
    """

    name: str
    into: int
    out: int

    def gigabits(self, frames: float) -> tuple[float, float]:
        """Return Gbit/s in and out for that many frames a second."""
        return frames * self.into / GIGABIT, frames * self.out / GIGABIT

    def frames(self, gigabits: float) -> int:
        """Return the frames a second that a link of equal width both ways carries."""
        return math.floor(gigabits * GIGABIT / max(self.into, self.out))

    @property
    def gateway_frames(self) -> float:
        """Frames a second of one gateway, on a line through the two formats that were measured."""
        most, least = (wire.into + wire.out for wire in (WIRES[0], WIRES[-1]))
        above = (self.into + self.out - least) / (most - least)
        return 25 / (ADDED_UINT8 + above * (ADDED_FLOAT32 - ADDED_UINT8))


WIRES = (
    Wire("float32, 6 channels (old clients)", 6 * 4 * PIXELS, 3 * 4 * PIXELS),
    Wire("float16, 6 channels", 6 * 2 * PIXELS, 3 * 2 * PIXELS),
    Wire("uint8, 6 channels", 6 * PIXELS, 3 * PIXELS),
    Wire("uint8, 3 channels", 3 * PIXELS, 3 * PIXELS),
)


@dataclass(frozen=True)
class Card:
    """A GPU by its data sheet.

    Attributes:
        name: of the card.
        bandwidth: bytes a second of its memory.
        reached: share of it that a network of many small layers reaches; an assumption.
    """

    name: str
    bandwidth: float
    reached: float

    @property
    def milliseconds(self) -> float:
        """Return the time of a frame in a batch of 8 or more."""
        return TRAFFIC / (self.bandwidth * self.reached) * 1e3

    def needed(self, frames: float) -> int:
        """Return the cards for that many frames a second, each at LOAD of its limit."""
        return math.ceil(frames * self.milliseconds / 1e3 / LOAD)


CARDS = tuple(
    Card(name, bandwidth, reached)
    for name, bandwidth in (("RTX PRO 6000 Blackwell, 96 GB", 1.792e12), ("H200, 141 GB", 4.8e12))
    for reached in (0.7, 0.35)
)


def users(frames: float) -> int:
    """Return the conversational users that so many frames a second serve."""
    return math.floor(frames / (FRAMES_PER_SECOND * TALKING))


LOADS = {
    f"{USERS} conversational users": USERS * FRAMES_PER_SECOND * TALKING,
    f"{FRAMES:,} frames/s": float(FRAMES),
    f"{USERS} users, all talking": float(USERS * FRAMES_PER_SECOND),
    f"{10 * FRAMES:,} frames/s (10 x)": 10.0 * FRAMES,
}


def loads_table() -> str:
    """Return what is asked for."""
    rows = [
        f"| {name} | {frames:,.0f} | {frames / FRAMES_PER_SECOND:,.0f} | {users(frames):,} |"
        for name, frames in LOADS.items()
    ]
    head = [
        "| load | frames/s | faces talking at once | conversational users |",
        "|---|--:|--:|--:|",
    ]
    return "\n".join([*head, *rows])


def cards_table() -> str:
    """Return the cards for each load."""
    names = " | ".join(LOADS)
    head = [f"| card, share of its bandwidth | ms/frame | {names} |", "|---|--:" + "|--:" * 4 + "|"]
    rows = [
        f"| {card.name}, {card.reached:.0%} | {card.milliseconds:.2f} | "
        + " | ".join(str(card.needed(frames)) for frames in LOADS.values())
        + " |"
        for card in CARDS
    ]
    return "\n".join([*head, *rows])


def links_table() -> str:
    """Return what links carry."""
    head = [
        "| format | 10 Gbit/s | 100 Gbit/s | 4,800 frames/s, in / out | 48,000, in / out |",
        "|---|--:|--:|--:|--:|",
    ]
    rows = []
    for wire in WIRES:
        (low, back), (much, most) = wire.gigabits(FRAMES), wire.gigabits(10 * FRAMES)
        rows.append(
            f"| {wire.name} | {wire.frames(10):,} frames/s | {wire.frames(100):,} frames/s | "
            f"{low:.1f} / {back:.1f} Gbit/s | {much:.0f} / {most:.0f} Gbit/s |"
        )
    return "\n".join([*head, *rows])


def gateways_table() -> str:
    """Return the gateways for each load."""
    names = " | ".join(LOADS)
    head = [f"| format | frames/s of a gateway | {names} |", "|---|--:" + "|--:" * 4 + "|"]
    rows = [
        f"| {wire.name} | {wire.gateway_frames:,.0f} | "
        + " | ".join(f"{math.ceil(one / wire.gateway_frames / LOAD):,}" for one in LOADS.values())
        + " |"
        for wire in WIRES
    ]
    return "\n".join([*head, *rows])


TABLES: dict[str, Callable[[], str]] = {
    "loads": loads_table,
    "cards": cards_table,
    "links": links_table,
    "gateways": gateways_table,
}


def filled(page: str) -> str:
    """Return the page with its tables worked out, each between two comments.

    Raises:
        KeyError: the page asks for a table that there is not.
    """
    block = re.compile(r"(<!-- scale: (\w+) -->\n).*?(<!-- end -->)", re.S)
    return block.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", page)


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(filled(file.read_text(encoding="utf-8")), encoding="utf-8")
