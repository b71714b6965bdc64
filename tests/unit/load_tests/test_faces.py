"""Requests of the face scenarios are the contract's, and answers are read as it says."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from load_tests import faces
from load_tests.catalogue import DIALECTS, SCENARIOS, TASKS
from load_tests.scenarios import deviation

CALL = faces.OLD.calls["enroll"]


def answer(vector: np.ndarray) -> bytes:
    text = base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return json.dumps({"enrollmentProcessedFile": text}).encode()


def test_five_poses_are_sent() -> None:
    body = json.loads(CALL.body([bytes([number]) for number in range(5)]).content)
    assert [image["pose"] for image in body["images"]] == ["front", "left", "right", "up", "down"]
    assert [base64.b64decode(image["data"]) for image in body["images"]] == [
        bytes([number]) for number in range(5)
    ]
    assert body["employee_id"]


def test_vectors_are_compared_by_their_angle() -> None:
    task = TASKS["enroll"]
    vector = np.zeros(512)
    vector[:2] = 0.6, 0.8
    same = CALL.values(answer(vector))
    assert same.shape == (1, 512)
    assert deviation(task, same, vector[None]) == pytest.approx(0, abs=1e-6)
    other = np.zeros(512)
    other[:2] = 0.8, 0.6
    assert deviation(task, CALL.values(answer(other)), vector[None]) == pytest.approx(0.04)
    assert deviation(task, CALL.values(answer(vector * 2)), vector[None]) == float("inf")


def test_both_scenarios_ask_the_same_service() -> None:
    found = {name: SCENARIOS[name] for name in ("enroll", "enroll_together")}
    assert [scenario.clients for scenario in found.values()] == [1, 4]
    assert {scenario.service for scenario in found.values()} == {"iot"}
    assert DIALECTS["iot"] is faces.OLD
