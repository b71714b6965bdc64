from pathlib import Path

import pytest
import yaml

from load_tests.thresholds import LIMITS, Figures, violations

GOOD = Figures(requests=100, failures=0, rejected=5, p95_ms=80.0, rps=50.0)


def test_kept_limits_are_silent():
    limits = {"max_error_rate": 0.0, "max_rejected_rate": 0.05, "max_p95_ms": 80, "min_rps": 50}
    assert violations({"embed": limits}, {"embed": GOOD}) == []


@pytest.mark.parametrize(
    ("limit", "bound"),
    [("max_rejected_rate", 0.01), ("max_p95_ms", 79), ("min_rps", 51), ("min_requests", 101)],
)
def test_each_limit_can_break(limit, bound):
    (sentence,) = violations({"embed": {limit: bound}}, {"embed": GOOD})
    assert limit in sentence


def test_nan_missing_and_unknown_break():
    nan = Figures(1, 0, 0, float("nan"), 1.0)
    assert violations({"a": {"max_p95_ms": 1}}, {"a": nan})
    assert violations({"a": {"max_p95_ms": 1}}, {}) == ["a: no request was made"]
    with pytest.raises(ValueError, match="unknown limit"):
        violations({"a": {"max_p59_ms": 1}}, {"a": GOOD})


def test_the_committed_file_names_existing_limits():
    root = Path(__file__).resolve().parents[3]
    plan = yaml.safe_load((root / "load_tests" / "thresholds.yaml").read_text())
    assert plan["users"] > 0
    assert all(set(limits) <= set(LIMITS) for limits in plan["limits"].values())
