"""Renders the Helm chart, and finds things in what comes out."""

from __future__ import annotations

import copy
import functools
import json
from typing import Any

import pytest
import yaml

from tests.support.containers import DOCKER

helm = pytest.importorskip("helm_python", reason="helm-python-sdk (PyPI) is not installed")

CHART = DOCKER / "helm" / "pentad"
LIPSYNC = {
    "name": "talk", "replicas": 1, "gpus": 1, "lipsync": True, "sharedMemory": "4864Mi",
    "resources": {"requests": {"cpu": "4", "memory": "32Gi"}, "limits": {"memory": "64Gi"}},
    "storage": "50Gi",
}  # fmt: skip
COMMON = {**LIPSYNC, "name": "gpu", "lipsync": False}


def rendered(values: dict[str, Any], name: str = "demo") -> list[dict[str, Any]]:
    """Return the manifests that these values make."""
    return copy.deepcopy(_rendered(json.dumps(values), name))


@functools.cache  # a rendering takes half a second
def _rendered(values: str, name: str) -> list[dict[str, Any]]:
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
    """Return the manifests of a kind by name."""
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] == kind}


def containers(manifests: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return every container with its pod."""
    pods = [
        one["spec"]["template"]["spec"]
        for one in manifests
        if one["kind"] in ("Deployment", "StatefulSet")
    ]
    return [
        (pod, container)
        for pod in pods
        for container in (*pod.get("initContainers", []), *pod["containers"])
    ]
