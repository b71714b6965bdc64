"""Grafana's dashboard and Prometheus's rules: valid, and asking for what is exported."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from gateway.services.lipsync.grpc.stream_capacity import StreamCapacity, StreamCollector
from gateway.services.lipsync.tenants.device import DeviceFigures
from gateway.services.lipsync.tenants.metrics import PoolMetrics
from gateway.services.lipsync.tenants.views import DeviceRow, PoolCollector
from gateway.services.tryon.jobs.metrics import JobCollector, JobMetrics
from gateway.telemetry.disks import DiskCollector
from gateway.telemetry.gpu import GpuCollector, GpuHistory
from gateway.telemetry.gpu.selection import StubSource
from gateway.telemetry.log import LostLinesCollector
from gateway.telemetry.metrics import MemberCollector, Metrics, TritonCollector
from tests.support import monitoring

FETCHED = Path(__file__).parents[2] / "var" / "tools" / "promtool"  # requirements/debian.py
PROMTOOL = shutil.which("promtool") or (str(FETCHED) if FETCHED.is_file() else None)
GRID = 24  # columns of Grafana


@pytest.fixture(scope="module")
def gateway() -> dict[str, set[str]]:
    """Series of the gateway, every instrument touched once."""
    metrics = Metrics()
    jobs, pool = JobMetrics(metrics.registry), PoolMetrics(metrics, named=1)
    for instrument in chain(*(vars(owner).values() for owner in (metrics, jobs, pool))):
        if isinstance(instrument, MetricWrapperBase) and instrument._labelnames:
            instrument.labels(*["x"] * len(instrument._labelnames))
    triton = TritonCollector()
    triton.statistics = [
        {"name": "m", "inference_stats": {}, "batch_stats": [{"batch_size": 1}]},
    ]
    metrics.add(triton)
    metrics.add(JobCollector(jobs))
    device = DeviceRow(0, "lipsync", "", "", False, True, *[0] * 9)
    metrics.add(PoolCollector(lambda: [device], list))
    metrics.add(StreamCollector(StreamCapacity(lambda: DeviceFigures(None, 1), 1)))
    metrics.add(DiskCollector({"state": Path("/")}))
    metrics.add(LostLinesCollector())
    metrics.add(MemberCollector(lambda: {"t:8001": True}))
    (reading,) = StubSource().read()
    assert reading.sample
    history = GpuHistory(0, reading.device, "stub", "live", (reading.sample,))
    metrics.add(GpuCollector(lambda count: [history]))
    return monitoring.exported(metrics.render().decode())


def test_every_metric_and_label_of_the_gateway_is_exported(gateway: dict[str, set[str]]) -> None:
    asked = 0
    for where, expression in monitoring.expressions():
        names, labels = monitoring.used(expression)
        own = {name for name in names if name.startswith("pentad_")} - monitoring.VLM_ONLY
        missing = own - gateway.keys()
        assert not missing, f"{where}: not exported: {sorted(missing)}"
        if own == names:
            known = set().union(*(gateway[name] for name in own)) | monitoring.TARGET_LABELS
            assert labels <= known, f"{where}: no such labels: {sorted(labels - known)}"
        asked += len(own)
    assert asked > 30


def test_nothing_that_is_exported_is_missing_on_the_dashboard(gateway: dict[str, set[str]]) -> None:
    shown = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for _, expression in monitoring.expressions()
        for name in monitoring.used(expression)[0]
    }
    families = {
        re.sub(r"_(bucket|sum|count|created)$", "", name)
        for name in gateway
        if not name.endswith("_created")
    }
    assert families <= shown, f"exported, never shown: {sorted(families - shown)}"


def test_every_other_metric_is_tritons_or_prometheus_own() -> None:
    for where, expression in monitoring.expressions():
        for name in monitoring.used(expression)[0]:
            known = name.startswith(("pentad_", "nv_")) or name in monitoring.PROMETHEUS_OWN
            assert known, f"{where}: {name}"


def test_a_name_that_does_not_exist_is_found(gateway: dict[str, set[str]]) -> None:
    names, labels = monitoring.used(
        monitoring.parse('rate(pentad_requests_totl{srvice="a"}[$__rate_interval]) / up')
    )
    assert names == {"pentad_requests_totl", "up"}
    assert labels == {"srvice"}
    assert "pentad_requests_total" in gateway
    assert "pentad_requests_totl" not in gateway


def _panels() -> list[dict[str, Any]]:
    return list(monitoring.dashboard()["panels"])


def test_panels_do_not_overlap_and_have_what_they_need() -> None:
    cells: set[tuple[int, int]] = set()
    identifiers = set()
    for panel in _panels():
        place = panel["gridPos"]
        covered = {
            (column, line)
            for column in range(place["x"], place["x"] + place["w"])
            for line in range(place["y"], place["y"] + place["h"])
        }
        assert not covered & cells, panel["title"]
        assert max(column for column, _ in covered) < GRID, panel["title"]
        cells |= covered
        identifiers.add(panel["id"])
        if panel["type"] == "row":
            continue
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}", panel["title"]
    assert len(identifiers) == len(_panels())


def test_rows_and_variables() -> None:
    board = monitoring.dashboard()
    rows = [panel["title"].split()[0] for panel in board["panels"] if panel["type"] == "row"]
    assert rows == ["Gateway", "Try-on", "Lip-sync", "Vision-language", "Triton", "GPU"]
    variables = {variable["name"] for variable in board["templating"]["list"]}
    text = monitoring.DASHBOARD.read_text(encoding="utf-8")
    references = set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval", "__all"}
    assert references == variables


def test_legends_name_labels_that_the_series_keep() -> None:
    for panel in _panels():
        for target in panel.get("targets", []):
            wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            grouped = re.findall(r"\bby \(([^)]*)\)", target["expr"])
            if grouped:
                kept = {label.strip() for label in grouped[0].split(",")}
                assert wanted <= kept, panel["title"]


def test_every_alert_is_described_and_tested() -> None:
    tested = {
        case["alertname"]
        for test in yaml.safe_load((monitoring.PROMETHEUS / "alerts_test.yml").read_text())["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    names = [rule["alert"] for rule in monitoring.alerts()]
    assert sorted(names) == sorted(tested)
    for rule in monitoring.alerts():
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_scrapes_reach_the_default_ports() -> None:
    config = yaml.safe_load((monitoring.PROMETHEUS / "prometheus.yml").read_text())
    targets = {
        job["job_name"]: [target for one in job["static_configs"] for target in one["targets"]]
        for job in config["scrape_configs"]
    }
    assert targets == {"pentad": ["127.0.0.1:9000"], "triton": ["127.0.0.1:8002"]}


def _with_key(folder: Path) -> Path:
    """The configuration with its `authorization` block switched on."""
    shutil.copytree(monitoring.PROMETHEUS, folder, dirs_exist_ok=True)
    file = folder / "prometheus.yml"
    switched, count = re.subn(
        r"    # (authorization:\n)    # (  credentials_file)", r"    \1    \2", file.read_text()
    )
    assert count == 1
    file.write_text(switched)
    (folder / "metrics.key").write_text("a-key-of-metrics")
    return file


def test_the_key_is_sent_as_the_gateway_expects_it(tmp_path: Path) -> None:
    (job, _) = yaml.safe_load(_with_key(tmp_path).read_text())["scrape_configs"]
    # Without `type` Prometheus sends `Authorization: Bearer <content of the file>`.
    assert job["authorization"] == {"credentials_file": "metrics.key"}


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool: make promtool")
@pytest.mark.parametrize("keyed", [False, True])
def test_promtool_accepts_the_configuration(tmp_path: Path, keyed: bool) -> None:
    file = _with_key(tmp_path) if keyed else monitoring.PROMETHEUS / "prometheus.yml"
    _promtool("check", "config", str(file))


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool: make promtool")
def test_promtool_runs_the_tests_of_the_alerts() -> None:
    _promtool("test", "rules", str(monitoring.PROMETHEUS / "alerts_test.yml"))


def _promtool(*arguments: str) -> None:
    assert PROMTOOL
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
