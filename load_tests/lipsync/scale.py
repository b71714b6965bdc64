"""The arithmetic of docs/operations/scale.md: cards, network and gateways for frames a second.

python -m load_tests.lipsync.scale docs/operations/scale.md     # fills the page's tables in
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
LAUNCH = 3e-6
"""Seconds from one kernel to the next that needs its result, inside a CUDA graph. An assumption:
2.5 to 4 microseconds are told of; not measured here."""
LOAD = 0.5
"""Share of what is possible that is planned with: queues stay short, one of two may fail."""
CPU = {
    ("float32, 6 channels", 25): (2.58, 0.80),
    ("uint8, 3 channels", 25): (0.61, 0.14),
    ("uint8, 3 channels", 8): (0.60, 0.19),
    ("uint8, 3 channels", 1): (2.07, 0.69),
}
"""CPU milliseconds a frame of the gateway and of tritonserver, by format and frames a call:
`python -m load_tests.cpu_per_request --services lipsync` (load_tests/RESULTS.md)."""


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

    def cpu(self) -> tuple[float, float]:
        """Return the CPU milliseconds a frame of gateway and tritonserver in calls of 25 frames.

        By the bytes on a line through the two formats that were measured.
        """
        large, small = WIRES[0], WIRES[-1]
        (most, more), (least, less) = CPU[large.short, 25], CPU[small.short, 25]
        span = large.into + large.out - small.into - small.out
        above = (self.into + self.out - small.into - small.out) / span
        return least + above * (most - least), less + above * (more - less)

    @property
    def short(self) -> str:
        """Return the name without who uses it, as load tests have it."""
        return self.name.partition(" (")[0]


WIRES = (
    Wire("float32, 6 channels (old clients)", 6 * 4 * PIXELS, 3 * 4 * PIXELS),
    Wire("float16, 6 channels", 6 * 2 * PIXELS, 3 * 2 * PIXELS),
    Wire("uint8, 6 channels", 6 * PIXELS, 3 * PIXELS),
    Wire("uint8, 3 channels", 3 * PIXELS, 3 * PIXELS),
)


@dataclass(frozen=True)
class Engine:
    """How the GPU engine runs the documented network, by what it moves in the card's memory.

    Attributes:
        maps: bytes a frame in FP16, without weights: what every kernel reads and writes.
        kernels: one after the other, of a step.
    """

    name: str
    maps: float
    kernels: int

    def bytes_per_frame(self, batch: int) -> float:
        """Return what a frame moves in a step of so many, its share of the weights included."""
        return self.maps + facts.TENANT_ON_GPU / batch


ENGINES = (
    Engine("kernel by kernel", 1_068.6e6, 275),
    Engine("dense convolutions with bias and ReLU", 749.6e6, 211),
    Engine("all convolutions with bias and ReLU", 438.2e6, 120),
)
"""As PyTorch runs it: cuDNN convolutions, each bias and each ReLU a kernel that reads the map and
writes it once more; with cuDNN's fused operators, which exist for dense convolutions alone
(`cudnn_convolution_relu`: 32 of 93); and the least that fusing bias and ReLU could reach, which
nothing here does. Counted from the operators of the real graph; a test counts again."""


@dataclass(frozen=True)
class Card:
    """A GPU by its data sheet.

    Attributes:
        bandwidth: bytes a second of its memory.
        reached: share of it that a network of many small layers reaches; an assumption.
    """

    name: str
    bandwidth: float
    reached: float

    def milliseconds(self, engine: Engine, batch: int = 25) -> float:
        """Return the time of a frame in a step of so many.

        A step takes as long as its bytes need, or its kernels to follow each other.
        """
        moving = batch * engine.bytes_per_frame(batch) / (self.bandwidth * self.reached)
        return max(moving, engine.kernels * LAUNCH) / batch * 1e3

    def needed(self, frames: float, engine: Engine) -> int:
        """Return the cards for that many frames a second, each at LOAD of its limit."""
        return math.ceil(frames * self.milliseconds(engine) / 1e3 / LOAD)


CARDS = tuple(
    Card(name, bandwidth, reached)
    for name, bandwidth in (("RTX PRO 6000 Blackwell, 96 GB", 1.792e12), ("H200, 141 GB", 4.8e12))
    for reached in (0.7, 0.35)
)
RUNNING = ENGINES[:2]
"""What the engine does: the second where the golden frame is right by it on this card."""


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


def traffic_table() -> str:
    """Return what a frame moves, by engine."""
    head = [
        "| the engine runs | kernels of a step | GB a frame, in steps of 25 | in steps of 1 |",
        "|---|--:|--:|--:|",
    ]
    rows = [
        f"| {engine.name} | {engine.kernels} | {engine.bytes_per_frame(25) / 1e9:.2f} | "
        f"{engine.bytes_per_frame(1) / 1e9:.2f} |"
        for engine in ENGINES
    ]
    return "\n".join([*head, *rows])


def steps_table() -> str:
    """Return milliseconds a frame by frames of a step, at the better share of the bandwidth."""
    sizes = (1, 2, 4, 8, 25)
    head = [
        "| card, engine | " + " | ".join(f"step of {size}" for size in sizes) + " |",
        "|---" + "|--:" * len(sizes) + "|",
    ]
    rows = [
        f"| {card.name}, {engine.name} | "
        + " | ".join(f"{card.milliseconds(engine, size):.2f}" for size in sizes)
        + " |"
        for card in CARDS[::2]
        for engine in RUNNING
    ]
    return "\n".join([*head, *rows])


def cards_table() -> str:
    """Return the cards for each load."""
    names = " | ".join(LOADS)
    head = [f"| card, share of its bandwidth | ms/frame | {names} |", "|---|--:" + "|--:" * 4 + "|"]
    rows = []
    for engine in RUNNING:
        for card in CARDS:
            needed = " | ".join(f"{card.needed(frames, engine)}" for frames in LOADS.values())
            rows.append(
                f"| {card.name}, {card.reached:.0%}, {engine.name} | "
                f"{card.milliseconds(engine):.2f} | {needed} |"
            )
    return "\n".join([*head, *rows])


def rate(card: Card, engine: Engine, *, slots: int, tenants: int) -> float:
    """Return frames a second of single-frame calls, no two of the same tenant.

    Args:
        card: that computes.
        engine: how.
        slots: that compute at the same time, each its own step: their kernels fill each other's
            pauses, and share the card's bandwidth.
        tenants: whose frames are in one step, each read with its own weights.
    """
    moving = engine.bytes_per_frame(1) / (card.bandwidth * card.reached)
    following = engine.kernels * LAUNCH / (slots * tenants)
    return 1 / max(moving, following)


def tenants_table() -> str:
    """Return frames a second of single-frame calls, by slots and by tenants of a step."""
    ways = {
        "1 slot": (1, 1),
        f"{facts.GPU_SLOTS} slots": (facts.GPU_SLOTS, 1),
        "1 slot, 4 tenants in a step": (1, 4),
        f"{facts.GPU_SLOTS} slots, 16 tenants in a step": (facts.GPU_SLOTS, 16),
    }
    head = [f"| card, engine | {' | '.join(ways)} |", "|---" + "|--:" * len(ways) + "|"]
    rows = []
    for card in CARDS[::2]:
        for engine in RUNNING:
            rates = (rate(card, engine, slots=slots, tenants=many) for slots, many in ways.values())
            figures = " | ".join(f"{value:,.0f}" for value in rates)
            rows.append(f"| {card.name}, {engine.name} | {figures} |")
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
    """Return the gateways for each load, and the cores of gateways and Tritons together."""
    names = " | ".join(LOADS)
    head = [
        "| format, frames a call | gateway + Triton, ms of CPU a frame | frames/s of a gateway "
        f"| {names} |",
        "|---|--:|--:" + "|--:" * 4 + "|",
    ]
    rows = []
    for name, (gateway, triton) in gateway_costs().items():
        limit = 1e3 / gateway
        needed = " | ".join(
            f"{math.ceil(frames / limit / LOAD):,} "
            f"({math.ceil(frames * (gateway + triton) / 1e3 / LOAD):,})"
            for frames in LOADS.values()
        )
        rows.append(f"| {name} | {gateway:.2f} + {triton:.2f} | {limit:,.0f} | {needed} |")
    return "\n".join([*head, *rows])


def gateway_costs() -> dict[str, tuple[float, float]]:
    """Return the CPU milliseconds a frame of gateway and tritonserver by format and frames a call.

    Calls of 25 of every format, and smaller ones of the format that was measured in them.
    """
    costs = {f"{wire.name}, 25": wire.cpu() for wire in WIRES}
    costs |= {f"{name}, {count}": cost for (name, count), cost in CPU.items() if count != 25}
    return costs


TABLES: dict[str, Callable[[], str]] = {
    "loads": loads_table,
    "traffic": traffic_table,
    "steps": steps_table,
    "tenants": tenants_table,
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
    return block.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}\n{match[3]}", page)


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(filled(file.read_text(encoding="utf-8")), encoding="utf-8")
