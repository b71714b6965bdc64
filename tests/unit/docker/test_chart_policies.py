"""The chart under a cluster's policies; and every policy under a manifest that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support import chart_policies as policies
from tests.support.chart import COMMON, LIPSYNC, rendered
from tests.unit.docker.test_chart import VARIANTS

MORE: dict[str, dict[str, Any]] = {
    "shared card": {"nodePools": [{**COMMON, "mps": True}]},
    "tenants": {"nodePools": [{**LIPSYNC, "tenantsClaim": "tenants"}]},
    "many": {"nodePools": [{**COMMON, "replicas": 5}, {**LIPSYNC, "replicas": 3}]},
}
ALL = {**VARIANTS, **MORE}
Break = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize("values", ALL.values(), ids=ALL)
@pytest.mark.parametrize("rule", policies.RULES, ids=lambda rule: rule.__name__)
def test_the_chart_keeps(rule: policies.Rule, values: dict[str, Any]) -> None:
    assert list(rule(rendered(values))) == []


def _pod(change: Callable[[dict[str, Any]], object]) -> Break:
    return lambda manifest: change(manifest["spec"]["template"]["spec"])


def _container(change: Callable[[dict[str, Any]], object]) -> Break:
    return _pod(lambda pod: change(pod["containers"][0]))


BREAKS: list[tuple[policies.Rule, Break]] = [
    (policies.restricted_pods, _pod(lambda pod: pod.update(hostNetwork=True))),
    (policies.restricted_pods, _pod(lambda pod: pod["volumes"].append(
        {"name": "docker", "hostPath": {"path": "/var/run/docker.sock"}}))),
    (policies.restricted_pods, _pod(lambda pod: pod["securityContext"].update(
        sysctls=[{"name": "kernel.shm_rmid_forced", "value": "1"}]))),
    (policies.restricted_containers, _pod(lambda pod: pod["securityContext"].pop("runAsUser"))),
    (policies.restricted_containers, _pod(lambda pod: pod["securityContext"].update(runAsUser=0))),
    (policies.restricted_containers, _pod(lambda pod: pod["securityContext"].pop(
        "seccompProfile"))),
    (policies.restricted_containers, _container(lambda item: item["securityContext"].update(
        capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}))),
    (policies.restricted_containers, _container(lambda item: item["securityContext"].update(
        allowPrivilegeEscalation=True))),
    (policies.restricted_containers, _container(lambda item: item["securityContext"].update(
        runAsNonRoot=False))),
    (policies.restricted_containers, _container(lambda item: item["ports"][0].update(hostPort=80))),
    (policies.read_only_roots, _container(lambda item: item["securityContext"].pop(
        "readOnlyRootFilesystem"))),
    (policies.fixed_images, _container(lambda item: item.update(image="r.example:5000/pentad"))),
    (policies.fixed_images, _container(lambda item: item.update(image="pentad:latest"))),
    (policies.probed, _container(lambda item: item.pop("livenessProbe"))),
    (policies.probed, _container(lambda item: item["readinessProbe"]["httpGet"].update(port="x"))),
    (policies.probed, _container(lambda item: item["startupProbe"].pop("failureThreshold"))),
    (policies.limited, _container(lambda item: item["resources"]["requests"].pop("cpu"))),
    (policies.limited, _container(lambda item: item["resources"]["limits"].update(memory="1Mi"))),
    (policies.no_secrets_in_the_open, _container(lambda item: item["env"].append(
        {"name": "PENTAD_TRITON__ADMIN_KEY", "value": "hunter22"}))),
    (policies.no_secrets_in_the_open, lambda item: item.update(kind="Secret")),
    (policies.no_token, _pod(lambda pod: pod.pop("automountServiceAccountToken"))),
    (policies.names_once, _container(lambda item: item["env"].append(item["env"][0]))),
    (policies.names_once, _pod(lambda pod: pod["containers"].append(
        {**pod["containers"][0], "name": "twin"}))),
    (policies.nothing_dangles, lambda item: item.update(
        kind="Service", spec={"selector": {"app": "nobody"}})),
    (policies.nothing_dangles, lambda item: item["metadata"].update(name="renamed")),
    (policies.spread, _pod(lambda pod: pod.pop("topologySpreadConstraints"))),
    (policies.spread, _pod(lambda pod: pod["topologySpreadConstraints"][0].update(
        labelSelector={"matchLabels": {"app": "other"}}))),
    (policies.leaves_in_time, _pod(lambda pod: pod.update(terminationGracePeriodSeconds=5))),
    (policies.leaves_in_time, _container(lambda item: item.pop("lifecycle"))),
    (policies.labelled, lambda item: item["metadata"].pop("labels")),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "breaks"), BREAKS)
def test_a_policy_sees_what_breaks_it(rule: policies.Rule, breaks: Break) -> None:
    manifests = rendered({})
    (gateway,) = [
        item for item in manifests
        if item["kind"] == "Deployment" and item["metadata"]["name"] == "demo-gateway"
    ]  # fmt: skip
    breaks(gateway)
    assert list(rule(manifests))


def test_every_policy_is_broken_once() -> None:
    assert {rule for rule, _ in BREAKS} == set(policies.RULES)
