"""Asks the package `insightface` for a pack's networks; run as a script of its own.

    python export/insightface_probe.py PACKAGES PACK ROOT ANSWER

A process of its own, because the package brings libraries that nothing else here is to import. It
finds the pack below ROOT or fetches it there, and writes JSON to the file ANSWER: for `detection`
and `recognition` the file, and what the package itself does to a picture before it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TASKS = ("detection", "recognition")


def main(packages: str, pack: str, root: str, answer: str) -> int:
    """Write the answer; an exception is for whoever reads this process's errors."""
    sys.path.append(packages)  # behind this environment's own
    from insightface.utils import ensure_available

    folder = Path(ensure_available("models", pack, root=root))
    Path(answer).write_text(json.dumps(_networks(folder)), encoding="utf-8")
    return 0


def _networks(folder: Path) -> dict[str, Any]:
    """Return the first network of each task, as InsightFace's own `FaceAnalysis` takes them."""
    from insightface.model_zoo import get_model, has_model_package_manifest, load_model_package

    networks: dict[str, Any] = {}
    if has_model_package_manifest(folder):
        package = load_model_package(folder)
        for task in filter(package.tasks.__contains__, TASKS):
            file = package.verify_task(task).path
            model = get_model(str(folder), model_task=task, providers=["CPUExecutionProvider"])
            networks[task] = _described(model, file)
        return networks
    for file in sorted(folder.glob("*.onnx")):
        model = get_model(str(file), providers=["CPUExecutionProvider"])
        kind = str(getattr(model, "taskname", ""))
        if kind in TASKS and kind not in networks:
            networks[kind] = _described(model, file)
    return networks


def _described(model: Any, file: Path) -> dict[str, Any]:
    described: dict[str, Any] = {
        "file": str(file),
        "mean": float(model.input_mean),
        "std": float(model.input_std),
    }
    if hasattr(model, "use_kps"):
        described["landmarks"] = bool(model.use_kps)
        described["strides"] = [int(stride) for stride in model._feat_stride_fpn]
        described["anchors"] = int(model._num_anchors)
    else:
        described["size"] = [int(side) for side in model.input_size]
    return described


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
