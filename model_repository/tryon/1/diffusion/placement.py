"""Where the parts of a diffusion pipeline are kept: how, by the memory that there is. No torch.

A part is loaded straight to where it stays. What is kept on the card computes soonest; what is kept
in the host's memory crosses PCIe for every picture (`offload`) or for every step (`blocks`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RESIDENT, OFFLOAD, BLOCKS = "resident", "offload", "blocks"
"""All parts on the card; one part at a time (diffusers' model offload); one block of the networks
at a time, the next one on its way meanwhile (its group offload)."""
PLACEMENTS = (RESIDENT, OFFLOAD, BLOCKS)

ACTIVATIONS = 8 * 10**9
"""Bytes beside the weights for one picture of a megapixel. An assumption: not measured, and no
source says. The plan counts with the same (gateway/capacity/facts.py)."""
KEPT_FREE = 0.05
"""Share of a card that is not planned with; the plan's own."""
CONTEXT = 600 * 2**20
"""Bytes of the process' own context on the card; the plan's own."""
HALF = 0.5
"""Of a card's memory: what mode fp8 may take to be kept in bfloat16 all the same. The cast saves
memory, not time, and costs precision; a card that is shared needs the rest for others."""


@dataclass(frozen=True)
class Parts:
    """Bytes of a checkpoint's parts, in the type that they are stored in.

    Attributes:
        transformer: which mode fp8 may halve.
        encoder: of the text.
        rest: the VAE; always on the card while it works.
    """

    transformer: int
    encoder: int
    rest: int


@dataclass(frozen=True)
class Form:
    """One way to keep a pipeline.

    Attributes:
        placement: one of PLACEMENTS.
        fp8: whether the transformer is stored in float8_e4m3fn.
        needed: bytes on the card.
    """

    placement: str
    fp8: bool
    needed: int

    def __str__(self) -> str:
        """Return it as the log says it."""
        kind = "fp8" if self.fp8 else "as it is"
        return f"{self.placement}, transformer {kind}, {self.needed / 1e9:.1f} GB"


def parts_of(checkpoint: Path) -> Parts:
    """Return the sizes by a checkpoint's files, as diffusers stores them."""

    def size(part: str) -> int:
        files = (checkpoint / part).glob("*.safetensors")
        return sum(file.stat().st_size for file in files)

    return Parts(size("transformer"), size("text_encoder"), size("vae"))


def forms(parts: Parts, *, fp8: bool) -> Iterator[Form]:
    """Return the ways to keep a pipeline, the fastest and most exact first.

    Args:
        parts: their sizes.
        fp8: whether the mode asks for fp8; other modes get it where nothing else fits but blocks.
    """
    small = parts.transformer // 2
    fixed = parts.rest + ACTIVATIONS
    resident = Form(RESIDENT, True, small + parts.encoder + fixed)
    yield Form(RESIDENT, False, parts.transformer + parts.encoder + fixed)
    if fp8:
        yield resident
    yield Form(OFFLOAD, False, max(parts.transformer, parts.encoder) + fixed)
    if not fp8:
        yield resident
    yield Form(OFFLOAD, True, max(small, parts.encoder) + fixed)
    # Two blocks of sixty at a time; a tenth of the larger part is more than that.
    yield Form(BLOCKS, False, max(parts.transformer, parts.encoder) // 10 + fixed)


def choose(
    parts: Parts, *, fp8: bool, total: int, free: int, budget: int = 0, placement: str = ""
) -> Form:
    """Return how to keep a pipeline on a card.

    Args:
        parts: their sizes.
        fp8: whether the mode asks for fp8.
        total: bytes of the card.
        free: of it now.
        budget: bytes that may be taken; 0: what the card has.
        placement: one that the operator wants; empty: the first that fits.

    Raises:
        ValueError: no way fits; with what an operator can do.
    """
    room = min(free, budget or int(total * (1 - KEPT_FREE)) - CONTEXT)
    candidates = [form for form in forms(parts, fp8=fp8) if placement in ("", form.placement)]
    for form in candidates:
        spoils_others = fp8 and not form.fp8 and form.placement == RESIDENT and not budget
        if form.needed <= (min(room, int(total * HALF)) if spoils_others else room):
            return form
    least = min(form.needed for form in candidates)
    raise ValueError(
        f"{least / 1e9:.1f} GB are needed on the card, {room / 1e9:.1f} GB may be taken: free "
        "some, take another card (tryon.model.device), or raise tryon.model.memory_gb"
    )
