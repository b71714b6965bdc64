"""What `helm upgrade` from one file of values to another one changes, and what it must not."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from tests.support.chart import CHART, COMMON, LIPSYNC, rendered
from tests.support.containers import ROOT

Manifests = list[dict[str, Any]]
MUTABLE = {
    "Deployment": {"replicas", "strategy", "template", "minReadySeconds"},
    "StatefulSet": {
        "replicas", "template", "updateStrategy", "minReadySeconds", "ordinals",
        "persistentVolumeClaimRetentionPolicy",
    },
}  # fmt: skip
"""Fields of a specification that the API server lets an update change (apps/v1)."""
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def refused(old: Manifests, new: Manifests) -> list[str]:
    """Return what the API server would refuse to update, as KIND/NAME FIELD."""
    before = {(item["kind"], item["metadata"]["name"]): item for item in old}
    fields = []
    for item in new:
        key = item["kind"], item["metadata"]["name"]
        if item["kind"] not in MUTABLE or key not in before:
            continue
        was, becomes = before[key]["spec"], item["spec"]
        fields += [
            f"{key[0]}/{key[1]} {field}"
            for field in {*was, *becomes} - MUTABLE[item["kind"]]
            if was.get(field) != becomes.get(field)
        ]
    return fields


def changed(old: Manifests, new: Manifests) -> dict[str, str]:
    """Return by KIND/NAME whether an object is added, removed or changed."""
    before, after = (
        {f"{item['kind']}/{item['metadata']['name']}": item for item in some} for some in (old, new)
    )
    return {
        name: "added" if name not in before else "removed" if name not in after else "changed"
        for name in {*before, *after}
        if before.get(name) != after.get(name)
    }


def restarted(old: Manifests, new: Manifests) -> set[str]:
    """Return the workloads whose pods are replaced."""
    templates = [
        {
            item["metadata"]["name"]: item["spec"]["template"]
            for item in some
            if item["kind"] in MUTABLE
        }
        for some in (old, new)
    ]
    return {name for name in templates[0] if templates[0][name] != templates[1].get(name)}


def _pool(**changes: Any) -> dict[str, Any]:
    return {"nodePools": [{**VALUES["nodePools"][0], **changes}]}


GATEWAYS = {"demo-controller", "demo-gateway"}
TRITON = {"demo-triton-gpu"}
CHANGES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "more pods": (_pool(replicas=5), set()),
    "more gateways": ({"gateway": {"autoscaling": {"maxReplicas": 40}}}, set()),
    "another image": ({"image": {"tag": "10"}}, GATEWAYS | TRITON),
    "a newer Triton": (_pool(tag="26.04-1"), TRITON),
    "a shared card": (_pool(mps=True), TRITON),
    "more time to load": (_pool(loadSeconds=900), set()),
    "more memory": (_pool(resources={
        "requests": {"cpu": "8", "memory": "64Gi"}, "limits": {"memory": "96Gi"}}), TRITON),
    "larger shared memory": (_pool(sharedMemory="8Gi"), TRITON),
    "another service": ({"services": ["iot", "text", "tryon", "vision"]}, GATEWAYS | TRITON),
    "a variable of gateways": (
        {"gateway": {"env": [{"name": "PENTAD_TELEMETRY__ACCESS_LOG", "value": "false"}]}},
        GATEWAYS,
    ),
    "configuration": ({"config": {"server": {"drain_seconds": 60}}}, GATEWAYS | TRITON),
    "monitoring": ({"serviceMonitor": {"enabled": True}}, set()),
    "an open network": ({"networkPolicy": {"enabled": False}}, set()),
}  # fmt: skip


@pytest.mark.parametrize(("values", "pods"), CHANGES.values(), ids=CHANGES)
def test_an_upgrade_is_taken_and_restarts_what_it_must(
    values: dict[str, Any], pods: set[str]
) -> None:
    old, new = rendered({}), rendered(values)
    assert changed(old, new)
    assert refused(old, new) == []
    assert refused(new, old) == []  # nor is a rollback
    assert restarted(old, new) == pods


@pytest.mark.parametrize("values", [_pool(storage="140Gi"), _pool(storageClass="fast")])
def test_another_volume_needs_the_documented_steps(values: dict[str, Any]) -> None:
    assert refused(rendered({}), rendered(values)) == [
        "StatefulSet/demo-triton-gpu volumeClaimTemplates"
    ]
    page = (ROOT / "docs" / "operations" / "deploy.md").read_text()
    assert "kubectl -n pentad delete statefulset pentad-triton-gpu --cascade=orphan" in page


def test_a_pool_is_added_and_removed_beside_the_others() -> None:
    single, two = rendered({"nodePools": [COMMON]}), rendered({"nodePools": [COMMON, LIPSYNC]})
    added = changed(single, two)
    assert set(added.values()) == {"added"}
    assert added.keys() == {
        "StatefulSet/demo-triton-talk", "PodDisruptionBudget/demo-triton-talk",
        "Service/demo-lipsync-talk",
    }  # fmt: skip
    assert set(changed(two, single).values()) == {"removed"}


def test_a_newer_chart_keeps_selectors_and_volumes() -> None:
    """Its version stands in labels, none of which an immutable field has."""
    old = rendered({})
    new = copy.deepcopy(old)
    version = str(yaml.safe_load((CHART / "Chart.yaml").read_text())["version"])
    text = yaml.safe_dump(new).replace(f"pentad-{version}", "pentad-99.0.0")
    newer = yaml.safe_load(text)
    assert changed(old, newer)
    assert refused(old, newer) == []


def test_a_refusal_is_seen() -> None:
    old = rendered({})
    new = copy.deepcopy(old)
    for item in new:
        if item["kind"] == "Deployment":
            item["spec"]["selector"]["matchLabels"]["version"] = "2"
        if item["kind"] == "StatefulSet":
            item["spec"]["podManagementPolicy"] = "OrderedReady"
    assert set(refused(old, new)) == {
        "Deployment/demo-controller selector", "Deployment/demo-gateway selector",
        "StatefulSet/demo-triton-gpu podManagementPolicy",
    }  # fmt: skip
