"""What the Grafana dashboard and the Prometheus alerts ask for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import yaml

DOCKER = Path(__file__).resolve().parents[2] / "docker"
PROMETHEUS = DOCKER / "prometheus"
DASHBOARD = DOCKER / "grafana" / "dashboards" / "pentad.json"

# Triton exports these only where it has a GPU:
# https://github.com/triton-inference-server/server/blob/main/docs/user_guide/metrics.md
TRITON_GPU_ONLY = frozenset({
    "nv_gpu_utilization",
    "nv_gpu_memory_used_bytes",
    "nv_gpu_memory_total_bytes",
    "nv_gpu_power_usage",
    "nv_gpu_power_limit",
})  # fmt: skip
TRITON_GPU_LABELS = {"gpu_uuid"}
SEVERAL_TRITONS_ONLY = {"pentad_triton_up"}  # in a scrape: tests/triton/scale
VLM_ONLY = {"pentad_vlm_tokens_total", "pentad_vlm_requests_total", "pentad_vlm_load"}
"""Triton's, from the model `vlm` alone: tests/vlm reads them."""
LIPSYNC = "pentad_lipsync_"
"""Beginning of what a gateway without lip-sync does not export: tests/triton/lipsync reads it."""
PROMETHEUS_OWN = {"up"}  # made by Prometheus for every target
TARGET_LABELS = {"job", "instance"}  # added by Prometheus to every series

_LABEL_VALUES = re.compile(r"^label_values\((?P<expr>.+), (?P<label>\w+)\)$")
_TYPE = re.compile(r"^# TYPE (\w+) (\w+)$", re.M)
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? \S+$", re.M)
_LABEL = re.compile(r'(?:^|,)(\w+)="')
_GRAFANA = {"$__rate_interval": "5m"}


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana reads it."""
    return dict(json.loads(DASHBOARD.read_text(encoding="utf-8")))


def alerts() -> list[dict[str, Any]]:
    """Return every alert rule."""
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, promql_parser.Expr]]:
    """Yield where each expression is used, and the expression parsed.

    Raises:
        ValueError: it is not PromQL.
    """
    board = dashboard()
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']}", parse(target["expr"])
    for variable in board["templating"]["list"]:
        if match := _LABEL_VALUES.match(str(variable.get("definition", ""))):
            expr = f"sum by ({match['label']}) ({match['expr']})"
            yield f"variable {variable['name']}", parse(expr)
    for rule in alerts():
        yield f"alert {rule['alert']}", parse(rule["expr"])


def parse(expression: str) -> promql_parser.Expr:
    """Parse PromQL with Grafana's variables in it."""
    for variable, value in _GRAFANA.items():
        expression = expression.replace(variable, value)
    return promql_parser.parse(expression)


def used(expression: promql_parser.Expr) -> tuple[set[str], set[str]]:
    """Return the names of the metrics of an expression, and of the labels."""
    metrics: set[str] = set()
    labels: set[str] = set()

    def visit(node: object) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            metrics.add(node.name)
            labels.update(matcher.name for matcher in node.matchers.matchers)
        elif isinstance(node, promql_parser.AggregateExpr) and node.modifier:
            labels.update(node.modifier.labels)
        elif isinstance(node, promql_parser.BinaryExpr):
            matching = node.modifier and node.modifier.matching
            labels.update(matching.labels if matching else ())

    promql_parser.walk(expression, visit)
    return metrics, labels


def exported(exposition: str) -> dict[str, set[str]]:
    """Return the labels of every series in a scrape, by name; empty where it has no sample yet.

    Not prometheus_client's parser: it adds ``_total`` to the names of Triton's counters.
    """
    found: dict[str, set[str]] = {}
    for name, kind in _TYPE.findall(exposition):
        for suffix in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
            found.setdefault(name + suffix, set())
    for name, labels in _SAMPLE.findall(exposition):
        found.setdefault(name, set()).update(_LABEL.findall(labels))
    return found
