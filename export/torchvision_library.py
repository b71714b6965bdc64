"""torchvision beside any build of torch: its networks, and the facts of its published weights."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from export import packages
from export.errors import ExportError
from export.progress import Progress

LOCK = Path(__file__).with_name("torchvision.lock")

_OPERATORS = ("nms", "qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[Any] = []  # torch forgets operators whose library object is collected


class Torchvision:
    """torchvision, in a folder of its own.

    The registry's wheel is built for CUDA. Beside a CPU build of torch its compiled operators
    cannot be loaded, and its Python part then fails on the two that it describes. Classifiers use
    neither: declared without code, they let the import pass. Only this package knows to do that,
    so the wheel is kept out of the environment, where transformers would import it.
    """

    def __init__(self, cache: Path, progress: Progress) -> None:
        """Download the pinned wheel unless the cache has it, and import it.

        Raises:
            ExportError: It cannot be had.
        """
        self.module = sys.modules.get("torchvision") or _import(_installed(cache, progress))
        self._models = self.module.models

    def network(self, architecture: str, classes: int) -> Any:
        """Return an uninitialised classifier of `classes` classes in evaluation mode.

        Raises:
            ExportError: There is no classifier of that name.
        """
        self._require(architecture)
        # These two would spend minutes on random weights that are replaced anyway.
        quick = {"init_weights": False} if architecture in ("inception_v3", "googlenet") else {}
        model = self._models.get_model(architecture, weights=None, num_classes=classes, **quick)
        return model.eval()

    def published(self, architecture: str, file: str | None = None) -> Any | None:
        """Entry of published weights.

        Args:
            architecture: Name of the network.
            file: Name of a weights file; None asks for the newest weights.

        Returns:
            A member of the architecture's weights enumeration, None when there is none.

        Raises:
            ExportError: There is no classifier of that name.
        """
        self._require(architecture)
        weights = self._models.get_model_weights(architecture)
        if file is None:
            return getattr(weights, "DEFAULT", None)
        return next((entry for entry in weights if Path(entry.url).name == file), None)

    def imagenet_labels(self) -> tuple[str, ...]:
        """Return torchvision's names of ImageNet's 1,000 classes, in their order."""
        return tuple(self._models.MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"])

    def _require(self, architecture: str) -> None:
        if architecture not in self._models.list_models(module=self._models):
            raise ExportError(f"{architecture} is no classifier of torchvision's")


def _installed(cache: Path, progress: Progress) -> Path:
    """Folder that holds nothing but torchvision, for this Python."""
    target = packages.folder(cache, "torchvision", LOCK)
    return packages.install(target, LOCK, "torchvision", progress)


def _import(folder: Path) -> ModuleType:
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:  # the operators are missing
        _declare_operators()
        return importlib.import_module("torchvision")
    finally:
        sys.path.remove(str(folder))


def _declare_operators() -> None:
    import torch

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    operators = torch.library.Library("torchvision", "DEF")
    _declared.append(operators)
    for operator in _OPERATORS:
        operators.define(operator + _SCHEMA)
