"""Ratios of a short bench against the committed ones."""

from __future__ import annotations

import math

import yaml

from load_tests.bench_check import FILE, RUNS, misses, ratios, wanted
from load_tests.catalogue import SCENARIOS


def row(scenario: str, server: str, rate: float) -> dict[str, object]:
    return {"scenario": scenario, "server": server, "items_per_second": rate}


def test_ratios_are_items_a_second_against_each_peer() -> None:
    rows = [row("a", "pentad", 30), row("a", "x", 10), row("b", "pentad", 5), row("b", "x", 10)]
    assert ratios(rows) == {"a/x": 3.0, "b/x": 0.5}


def test_what_is_lower_by_more_than_the_margin_is_told() -> None:
    goals = {"a/x": 4.0, "b/x": 2.0, "c/x": 1.0}
    assert misses({"a/x": 3.0, "b/x": 1.49, "c/x": 5.0}, goals, 0.25) == [
        "b/x: 2.00 before, 1.49 now"
    ]
    assert misses({"a/x": 4.0, "b/x": math.nan}, goals, 0.25) == [
        "b/x: 2.00 before, nan now",
        "c/x: 1.00 before, 0.00 now",
    ]


def test_an_unknown_processor_has_to_reach_the_lowest_ratios() -> None:
    machines = {"first": {"a/x": 4.0, "b/x": 2.0}, "second": {"a/x": 3.0}}
    assert wanted(machines, "first") == machines["first"]
    assert wanted(machines, "third") == {"a/x": 3.0, "b/x": 2.0}


def test_the_committed_ratios_are_those_that_are_measured() -> None:
    committed = yaml.safe_load(FILE.read_text("utf-8"))
    assert 0 < committed["margin"] < 0.5
    measured = {
        f"{scenario}/{peer}"
        for scenarios, peers in RUNS.values()
        for scenario in scenarios.split(",")
        for peer in peers.split(",")
        if peer != "pentad"
    }
    assert {name.split("/")[0] for name in measured} <= set(SCENARIOS)
    assert committed["machines"]
    for table in committed["machines"].values():
        assert set(table) == measured
