"""What dashboard and alerts ask for is in the scrapes of a running Pentad."""

from __future__ import annotations

import httpx
import pytest

from tests.support import monitoring
from tests.support.stack import Stack
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def scrapes(stack: Stack) -> dict[str, set[str]]:
    """Series of the gateway and of Triton together, after one request."""
    asked = httpx.post(stack.main + "/text/embed", json={"texts": ["hello"]}, timeout=60)
    asked.raise_for_status()
    triton = stack.environment["PENTAD_TRITON__METRICS_URL"]

    def scraped(url: str) -> str:
        return httpx.get(url, timeout=60).raise_for_status().text

    # The gateway reads Triton's statistics now and then.
    wait_for(lambda: "pentad_triton_requests_total{" in scraped(stack.main + "/metrics"))
    texts = [scraped(url) for url in (stack.main + "/metrics", triton)]
    return {name: labels for text in texts for name, labels in monitoring.exported(text).items()}


def test_every_metric_is_in_a_scrape(scrapes: dict[str, set[str]]) -> None:
    elsewhere = monitoring.TRITON_GPU_ONLY | monitoring.SEVERAL_TRITONS_ONLY | monitoring.VLM_ONLY
    present = scrapes.keys() | monitoring.PROMETHEUS_OWN | elsewhere
    asked = 0
    for where, expression in monitoring.expressions():
        names, _ = monitoring.used(expression)
        missing = {name for name in names if not name.startswith(monitoring.LIPSYNC)} - present
        assert not missing, f"{where}: in no scrape: {sorted(missing)}"
        asked += len(names)
    assert asked > 50


def test_every_label_of_triton_is_in_its_scrape(scrapes: dict[str, set[str]]) -> None:
    for where, expression in monitoring.expressions():
        names, labels = monitoring.used(expression)
        if all(name.startswith("nv_") for name in names):
            known = set().union(*(scrapes.get(name, set()) for name in names))
            known |= monitoring.TARGET_LABELS
            if names & monitoring.TRITON_GPU_ONLY:
                known |= monitoring.TRITON_GPU_LABELS
            assert labels <= known, f"{where}: no such labels: {sorted(labels - known)}"


def test_gpus_are_exported(scrapes: dict[str, set[str]]) -> None:
    assert scrapes["pentad_gpu_up"] == {"gpu", "device", "source"}
