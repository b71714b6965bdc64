"""Which of a machine's whole GPUs are shown, and by which numbers: as CUDA has them."""

from __future__ import annotations

import os
from collections.abc import Callable

from gateway.capacity.visible import chosen


def shown_places(count: int, uuid: Callable[[int], str], visible: str | None = None) -> list[int]:
    """Return the places of the GPUs that CUDA shows, by the number that CUDA gives them.

    Where it shows instances of a GPU in MIG mode, which have no figures of their own, every GPU is
    returned, theirs among them.

    Args:
        count: how many GPUs there are, in the order of the bus.
        uuid: returns that of one of them.
        visible: value of ``CUDA_VISIBLE_DEVICES``; None: as it is set.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") if visible is None else visible
    if visible is None or visible.startswith("MIG-"):
        return list(range(count))
    return chosen(visible, [uuid(place) for place in range(count)])
