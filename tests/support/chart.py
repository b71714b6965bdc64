"""The Helm chart, rendered by Helm's own library."""

from __future__ import annotations

import copy
import functools
import json
from typing import Any

import yaml

from tests.support.containers import DOCKER

CHART = DOCKER / "helm" / "pentad"
LIPSYNC = {
    "name": "talk", "replicas": 1, "gpus": 1, "lipsync": True, "sharedMemory": "4864Mi",
    "resources": {"requests": {"cpu": "4"}, "limits": {"memory": "64Gi"}}, "storage": "50Gi",
}  # fmt: skip
COMMON = {**LIPSYNC, "name": "gpu", "lipsync": False}


def rendered(values: dict[str, Any], name: str = "demo") -> list[dict[str, Any]]:
    return copy.deepcopy(_rendered(json.dumps(values), name))


@functools.cache  # a rendering takes half a second
def _rendered(values: str, name: str) -> list[dict[str, Any]]:
    import helm_python as helm  # whoever asks has looked whether it is there

    with helm.Chart.load(str(CHART)) as chart:
        files = chart.render(json.loads(values), name=name, namespace="prod")
    return [
        document
        for name, text in files.items()
        if name.endswith(".yaml")
        for document in yaml.safe_load_all(text)
        if document
    ]


def of_kind(manifests: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] == kind}
