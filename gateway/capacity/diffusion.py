"""What the try-on engines take of a card, as they choose it themselves.

The engine `diffusers` keeps its parts by model_repository/tryon/1/diffusion/placement.py, which may
not be imported here (a model's folder is Triton's alone); a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.capacity import facts
from gateway.settings.tryon import TryonModelSettings

HALF = 0.5
"""Of a card: what mode fp8 may take without a budget to stay in bfloat16."""


def needed(model: TryonModelSettings, capacity: int) -> tuple[str, int]:
    """Return how an engine keeps its weights on a card of its own, and the bytes with context.

    What fits in no way is returned as the smallest: the plan then says what is missing.

    Args:
        model: settings of try-on's model.
        capacity: bytes of the card.
    """
    ways = list(_ways(model))
    budget = round(model.memory_gb * 2**30)
    room = budget or int(capacity * (1 - facts.KEPT_FREE)) - facts.CONTEXT
    for name, size, share in ways:
        if size <= (room if budget else min(room, int(share * capacity))):
            return name, size + facts.CONTEXT
    name, size, _ = min(ways, key=lambda way: way[1])
    return name, size + facts.CONTEXT


def _ways(model: TryonModelSettings) -> Iterator[tuple[str, int, float]]:
    """Yield name, bytes and largest share of a card, the best first."""
    large, text = (round(2 * count) for count in facts.DIFFUSION.values())
    small, fp8 = large // 2, model.default_mode == "fp8"
    rest = facts.DIFFUSION_ACTIVATIONS
    if model.engine == "lightx2v":
        yield "fp8" if fp8 else "bfloat16", (small if fp8 else large) + text + rest, 1.0
        return
    ways = [
        ("resident", "bfloat16", large + text, HALF if fp8 else 1.0),
        ("resident", "fp8", small + text, 1.0),
        ("offload", "bfloat16", max(large, text), 1.0),
        ("offload", "fp8", max(small, text), 1.0),
        ("blocks", "bfloat16", max(large, text) // 10, 1.0),
    ]
    if not fp8:  # what is more exact comes before what is faster
        ways[1], ways[2] = ways[2], ways[1]
    for placement, kind, size, share in ways:
        if model.placement in ("", placement):
            yield f"{placement}, {kind}", size + rest, share
