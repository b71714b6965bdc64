"""The face vectorizer's scenarios and dialect."""

from __future__ import annotations

import base64
import json

import numpy as np

from load_tests.client import Body
from load_tests.portraits import POSES, enrollments
from load_tests.scenarios import Call, Dialect, Matrix, Scenario, Task
from load_tests.text import cosine_distance


def _body(pictures: list[bytes]) -> Body:
    images = [
        {"pose": pose, "data": base64.b64encode(picture).decode()}
        for pose, picture in zip(POSES, pictures, strict=True)
    ]
    return Body.json({"employee_id": "load-test", "images": images})


def _vector(body: bytes) -> Matrix:
    """Return the vector of an answer, [1, 512]."""
    raw = base64.b64decode(json.loads(body)["enrollmentProcessedFile"])
    return np.frombuffer(raw, dtype="<f4").astype(np.float64)[None]


OLD = Dialect("/iot/health", {"enroll": Call("/iot/vectorizer", _body, _vector)})
"""The contract's own interface; all servers speak it."""

# Pentad alters the part around a face and keeps its landmarks; the old way searches every altered
# picture anew, and finds them up to two pixels elsewhere.
TASKS = {"enroll": Task(cosine_distance, 0.01)}

SCENARIOS = tuple(
    Scenario(
        name=name,
        service="iot",
        task="enroll",
        unit="enrollments",
        items=1,
        clients=clients,
        inputs=lambda: enrollments(8),
        checked=4,
    )
    for name, clients in (("enroll", 1), ("enroll_together", 4))
)
