"""Lets a torchvision wheel that was built for CUDA be imported beside a CPU build of torch.

transformers' processors import torchvision. Its compiled operators cannot be loaded there, and its
Python part then fails on the two that it describes; the processors use neither.
"""

from __future__ import annotations

from typing import Any

OPERATORS = ("nms", "qnms")
SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[Any] = []  # torch forgets operators whose library object is collected


def declare_operators() -> None:
    """Declare the two operators, without code, unless torch is built for CUDA or knows them."""
    import torch

    if _declared or torch.version.cuda is not None:
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in OPERATORS:
        if not hasattr(torch.ops.torchvision, name):
            library.define(name + SCHEMA)
    _declared.append(library)
