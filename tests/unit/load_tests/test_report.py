import json
from dataclasses import replace

import numpy as np
import pytest

from load_tests import workload
from load_tests.catalogue import TASKS
from load_tests.perf.inputs import stack
from load_tests.report import Result, markdown, medians, write
from load_tests.scenarios import deviation

ONE = Result("pentad", "embed_short", "texts", 32, 10.0, 10.0, 1.0, 2.0, 3.0, 5, 0, 4.0, 1e-7, True)


def test_medians_and_ratios(tmp_path):
    rounds = [replace(ONE, items_per_second=rate) for rate in (10.0, 60.0, 30.0)]
    rounds += [replace(ONE, server="naive", items_per_second=5.0, errors=1, right=False)]
    pentad, naive = medians(rounds)
    assert (pentad.items_per_second, pentad.requests) == (30.0, 15)
    text = markdown([pentad, naive], "pentad")
    assert "6.00x" in text
    assert "WRONG" in text
    write(tmp_path, "bench", rounds, {"rounds": 3}, text)
    assert len(json.loads((tmp_path / "bench.json").read_text())["rounds"]) == 4


def test_deviation_of_vectors():
    reference = np.eye(3)
    assert deviation(TASKS["embed"], reference, reference) == pytest.approx(0)
    assert deviation(TASKS["embed"], reference[::-1], reference) == pytest.approx(1)
    assert deviation(TASKS["embed"], 2 * reference, reference) == float("inf")
    assert deviation(TASKS["embed"], reference[:2], reference) == float("inf")
    assert deviation(TASKS["bertscore"], reference + 0.25, reference) == 0.25


def test_workload_is_deterministic_and_varied():
    assert workload.embed_mixed(2) == workload.embed_mixed(2)
    assert len({texts[0] for texts in workload.embed_short(500)}) > 490
    candidates, references = workload.pairs(1, repeated=True)[0]
    assert len(candidates) == len(references) == workload.PAIRS
    assert len({*candidates, *references}) <= workload.PAIRS
    candidates, references = workload.pairs(1, repeated=False)[0]
    assert len({*candidates, *references}) > 1.9 * workload.PAIRS


def test_stacked_inputs():
    rows = [{"ids": {"content": [i, i], "shape": [2]}} for i in range(5)]
    stacked = stack(rows, 2)
    assert stacked[1] == {"ids": {"content": [2, 2, 3, 3], "shape": [2, 2]}}
    assert len(stacked) == 2


def test_confidences_are_compared_by_their_largest_difference():
    task = TASKS["classify"]
    right = np.array([0.9, 0.05, 0.02, 0.01, 0.005])
    assert deviation(task, right + np.array([0, 0, 0.002, 0, 0]), right) == pytest.approx(0.002)
    assert deviation(task, right[:4], right) == float("inf")
    assert task.tolerance == 1e-3
