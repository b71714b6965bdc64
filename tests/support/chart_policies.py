"""What a cluster's policies ask of manifests: Pod Security "restricted", and kube-linter's rules.

Each rule takes all manifests of a release and yields a sentence for each thing that it refuses.
Sources: https://kubernetes.io/docs/concepts/security/pod-security-standards/ and kube-linter's
default checks (docs/generated/checks.md of stackrox/kube-linter), those that a chart can break.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

Manifest = dict[str, Any]
Rule = Callable[[list[Manifest]], Iterator[str]]

WORKLOADS = ("Deployment", "StatefulSet")
VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
    "projected", "secret",
}  # fmt: skip
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
SECRET_NAME = re.compile(r"SECRET|PASSWORD|TOKEN|PRIVATE|CREDENTIAL|(?<!_FILE)KEY$|DATABASE_URL")


def workloads(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest, Manifest]]:
    """Yield name, manifest and pod of everything that runs."""
    for item in manifests:
        if item["kind"] in WORKLOADS:
            yield f"{item['kind']}/{item['metadata']['name']}", item, item["spec"]["template"]


def containers(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest, Manifest]]:
    """Yield name, container and pod of every container, those that only prepare among them."""
    for name, _, pod in workloads(manifests):
        for item in (*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]):
            yield f"{name}/{item['name']}", item, pod["spec"]


def lasting(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest, Manifest]]:
    """Yield the containers that run as long as their pod."""
    for name, item, pod in containers(manifests):
        if item not in pod.get("initContainers", []):
            yield name, item, pod


def restricted_pods(manifests: list[Manifest]) -> Iterator[str]:
    """Pod Security "restricted": what a pod must not ask for."""
    for name, _, template in workloads(manifests):
        pod = template["spec"]
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.get(field):
                yield f"{name}: {field}"
        for volume in pod.get("volumes", []):
            if kinds := set(volume) - VOLUMES - {"name"}:
                yield f"{name}: a volume of the kind {', '.join(kinds)}"
        if pod.get("securityContext", {}).get("sysctls"):
            yield f"{name}: sysctls"


def restricted_containers(manifests: list[Manifest]) -> Iterator[str]:
    """Pod Security "restricted": what a container must, and must not, ask for."""
    for name, container, pod in containers(manifests):
        own = container.get("securityContext", {})
        context = {**pod.get("securityContext", {}), **own}
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
            yield f"{name}: may be root"
        if own.get("privileged") or own.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: privileges"
        capabilities = own.get("capabilities", {})
        if capabilities.get("drop") != ["ALL"]:
            yield f"{name}: keeps capabilities"
        if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            yield f"{name}: adds capabilities"
        if context.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"{name}: no seccomp profile"
        if own.get("procMount", "Default") != "Default":
            yield f"{name}: procMount"
        if any(port.get("hostPort") for port in container.get("ports", [])):
            yield f"{name}: a port of the host"


def read_only_roots(manifests: list[Manifest]) -> Iterator[str]:
    """kube-linter: no-read-only-root-fs."""
    for name, container, _ in containers(manifests):
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            yield f"{name}: writes to its root"


def fixed_images(manifests: list[Manifest]) -> Iterator[str]:
    """kube-linter: latest-tag."""
    for name, container, _ in containers(manifests):
        tag = container["image"].rpartition("/")[2].partition(":")[2]
        if tag in ("", "latest") or container.get("imagePullPolicy") not in (
            "IfNotPresent", "Always", "Never",
        ):  # fmt: skip
            yield f"{name}: image {container['image']}"


def probed(manifests: list[Manifest]) -> Iterator[str]:
    """kube-linter: no-liveness-probe, no-readiness-probe, and their ports."""
    for name, container, _ in lasting(manifests):
        ports = {port["name"] for port in container.get("ports", [])}
        for kind in PROBES:
            probe = container.get(kind)
            if probe is None:
                yield f"{name}: no {kind}"
            elif "httpGet" in probe and probe["httpGet"]["port"] not in ports:
                yield f"{name}: {kind} at a port that it has not"
        start = container.get("startupProbe", {})
        if start.get("periodSeconds", 10) * start.get("failureThreshold", 3) < 60:
            yield f"{name}: less than a minute to start"


def limited(manifests: list[Manifest]) -> Iterator[str]:
    """kube-linter: unset-cpu-requirements, unset-memory-requirements.

    No limit of CPU time: it stops a process in the middle of an inference though cores idle.
    """
    for name, container, _ in containers(manifests):
        resources = container.get("resources", {})
        wants, may = resources.get("requests", {}), resources.get("limits", {})
        if not {"cpu", "memory"} <= wants.keys():
            yield f"{name}: requests {sorted(wants)}"
        if "memory" not in may or size(may["memory"]) < size(wants.get("memory", "0")):
            yield f"{name}: limits {may}"


def size(quantity: str) -> float:
    """Return the bytes of a Kubernetes quantity."""
    number, unit = re.fullmatch(r"([\d.]+)(\w*)", str(quantity)).groups()  # type: ignore[union-attr]
    powers = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    return float(number) * powers[unit]


def no_secrets_in_the_open(manifests: list[Manifest]) -> Iterator[str]:
    """kube-linter: env-var-secret; and no Secret that the chart itself writes."""
    for item in manifests:
        if item["kind"] == "Secret":
            yield f"Secret/{item['metadata']['name']}"
    for name, container, _ in containers(manifests):
        for variable in container.get("env", []):
            if "value" in variable and SECRET_NAME.search(variable["name"]):
                yield f"{name}: {variable['name']} in the manifest"


def no_token(manifests: list[Manifest]) -> Iterator[str]:
    """kube-linter: default-service-account; nothing here asks Kubernetes anything."""
    for name, _, pod in workloads(manifests):
        if pod["spec"].get("automountServiceAccountToken") is not False:
            yield f"{name}: a token of its service account"
    for item in manifests:
        if item["kind"] in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"):
            yield f"{item['kind']}/{item['metadata']['name']}"


def names_once(manifests: list[Manifest]) -> Iterator[str]:
    """kube-linter: duplicate-env-var; the same for ports and places."""
    for name, container, _ in containers(manifests):
        listed = [item["name"] for item in container.get("env", [])]
        listed += [f"port {item['containerPort']}" for item in container.get("ports", [])]
        listed += [f"port {item['name']}" for item in container.get("ports", [])]
        listed += [item["mountPath"] for item in container.get("volumeMounts", [])]
        yield from (f"{name}: {item} twice" for item, count in Counter(listed).items() if count > 1)
    for name, _, pod in workloads(manifests):
        ports = Counter(
            port["containerPort"]
            for container in pod["spec"]["containers"]
            for port in container.get("ports", [])
        )
        yield from (f"{name}: port {port} in two containers" for port in ports if ports[port] > 1)


def nothing_dangles(manifests: list[Manifest]) -> Iterator[str]:
    """kube-linter: dangling-service, -networkpolicy, -horizontalpodautoscaler, and budgets."""
    labels = [pod["metadata"]["labels"] for _, _, pod in workloads(manifests)]
    named = {(item["kind"], item["metadata"]["name"]) for item in manifests}
    for item in manifests:
        name, spec = f"{item['kind']}/{item['metadata']['name']}", item.get("spec", {})
        if item["kind"] in ("Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor"):
            wanted = spec.get("podSelector") or spec.get("selector") or {}
            wanted = wanted.get("matchLabels", wanted)
            if not any(wanted.items() <= pod.items() for pod in labels):
                yield f"{name}: selects nothing"
        if "scaleTargetRef" in spec:
            target = spec["scaleTargetRef"]
            if (target.get("kind", "Deployment"), target["name"]) not in named:
                yield f"{name}: scales nothing"


def spread(manifests: list[Manifest]) -> Iterator[str]:
    """kube-linter: no-anti-affinity; several pods of a kind are not to die with one node."""
    scaled = {item["spec"]["scaleTargetRef"]["name"] for item in manifests
              if "scaleTargetRef" in item.get("spec", {})}  # fmt: skip
    for name, item, pod in workloads(manifests):
        several = item["spec"].get("replicas", 1) > 1 or item["metadata"]["name"] in scaled
        rules = pod["spec"].get("topologySpreadConstraints", [])
        if several and not rules and "podAntiAffinity" not in pod["spec"].get("affinity", {}):
            yield f"{name}: all may be on one node"
        for rule in rules:
            wanted = rule["labelSelector"]["matchLabels"]
            if not wanted.items() <= pod["metadata"]["labels"].items():
                yield f"{name}: is spread among others"


def leaves_in_time(manifests: list[Manifest]) -> Iterator[str]:
    """Every lasting container leaves the endpoints first, and its pod waits for it."""
    for name, container, pod in lasting(manifests):
        told = str(container.get("lifecycle", {}).get("preStop", ""))
        waits = re.search(r"sleep\((\d+)\)", told)
        if waits is None:
            yield f"{name}: no preStop"
        elif int(waits.group(1)) >= pod.get("terminationGracePeriodSeconds", 30):
            yield f"{name}: killed before its preStop ends"


def labelled(manifests: list[Manifest]) -> Iterator[str]:
    """kube-linter: required-label-owner's kind; Kubernetes' recommended labels."""
    for item in manifests:
        labels = item["metadata"].get("labels", {})
        for label in ("name", "instance", "version", "managed-by"):
            if f"app.kubernetes.io/{label}" not in labels:
                yield f"{item['kind']}/{item['metadata']['name']}: no label {label}"


RULES: tuple[Rule, ...] = (
    restricted_pods, restricted_containers, read_only_roots, fixed_images, probed, limited,
    no_secrets_in_the_open, no_token, names_once, nothing_dangles, spread, leaves_in_time, labelled,
)  # fmt: skip
