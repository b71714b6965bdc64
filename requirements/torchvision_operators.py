"""Lets a torchvision wheel that was built for CUDA be imported beside a CPU build of torch.

Its compiled operators cannot be loaded there, and its Python part then fails on the two that it
describes at import. The image and video processors of transformers use neither: declared without
code, they let the import pass. `vlm.py` installs this module and a .pth file that imports it in
every process of the environment.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import Any

OPERATORS = ("nms", "qnms")
SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


class TorchvisionImport(MetaPathFinder):
    """Notices the first import of torchvision; finds nothing itself."""

    library: Any = None  # torch forgets operators whose library object is collected

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        """Declare the operators when torchvision is about to be imported."""
        if fullname == "torchvision" and self.library is None:
            import torch

            if torch.version.cuda is None:
                self.library = torch.library.Library("torchvision", "FRAGMENT")
                for name in OPERATORS:
                    if not hasattr(torch.ops.torchvision, name):
                        self.library.define(name + SCHEMA)


def install() -> None:
    """Watch the imports of this process."""
    if not any(isinstance(finder, TorchvisionImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, TorchvisionImport())
