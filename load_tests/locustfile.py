"""Locust users, one class per way of use. Answers are checked, not just counted.

    locust -f load_tests/locustfile.py --host http://127.0.0.1:9000

With ``PENTAD_LOAD_FIGURES`` set, the figures of the run are written to that file as JSON
(``locust_run.py`` reads them). ``PENTAD_LOAD_KEY`` is the API key, if one is needed.
"""

from __future__ import annotations

import base64
import json
import math
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from locust import FastHttpUser, constant_throughput, events, task
from locust.env import Environment
from locust.stats import StatsEntry

from load_tests import workload

REJECTED: Counter[str] = Counter()
"""Answers 503 and 429 by request name."""
DIMENSIONS = 384
PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
BOUNDARY = "6f1d2c0b9e7a4853"
KEY = os.environ.get("PENTAD_LOAD_KEY")


@events.spawning_complete.add_listener
def _steady(user_count: int, **_: object) -> None:
    """Forget what the first users met on an idle server, as locust's --reset-stats does."""
    REJECTED.clear()


def _figures(entry: StatsEntry, rejected: int) -> dict[str, float]:
    return {
        "requests": entry.num_requests,
        "failures": entry.num_failures,
        "rejected": rejected,
        "p95_ms": float(entry.get_response_time_percentile(0.95) or 0),
        "rps": entry.total_rps,
    }


@events.quitting.add_listener
def _write_figures(environment: Environment, **_: object) -> None:
    path = os.environ.get("PENTAD_LOAD_FIGURES")
    if path:
        entries = environment.stats.entries.values()
        figures = {entry.name: _figures(entry, REJECTED[entry.name]) for entry in entries}
        figures["total"] = _figures(environment.stats.total, sum(REJECTED.values()))
        Path(path).write_text(json.dumps(figures, indent=1) + "\n")


def _is_unit(vector: list[float]) -> bool:
    return len(vector) == DIMENSIONS and abs(math.sqrt(sum(x * x for x in vector)) - 1) < 1e-3


def _check_embed(answer: dict[str, Any], count: int) -> bool:
    vectors = answer["embeddings"]
    # One vector of each answer is looked at closely: the generator must stay cheap.
    return len(vectors) == count and _is_unit(vectors[-1])


def _check_openai(answer: dict[str, Any], count: int) -> bool:
    return len(answer["data"]) == count and _is_unit(answer["data"][0]["embedding"])


def _check_bertscore(answer: dict[str, Any], count: int) -> bool:
    values = [answer[key] for key in ("precision", "recall", "f1")]
    return all(len(part) == count and all(-1 <= x <= 1.0001 for x in part) for part in values)


def _check_classes(answer: dict[str, Any], count: int) -> bool:
    # The picture is a cat's: Egyptian cat, tabby or tiger cat.
    return len(answer["top5"]) == count and "cat" in answer["top1"]["label"]


def _check_enrollment(answer: dict[str, Any], count: int) -> bool:
    vector = base64.b64decode(answer["enrollmentProcessedFile"])
    return answer["image_count"] == count and len(vector) == 4 * answer["embedding_dim"] == 2048


class PentadUser(FastHttpUser):
    """What all users share: posting and judging the answer."""

    abstract = True
    headers: ClassVar[dict[str, str]] = {"Authorization": f"Bearer {KEY}"} if KEY else {}

    def ask(
        self,
        name: str,
        path: str,
        body: dict[str, Any] | bytes,
        count: int,
        check: Callable[[dict[str, Any], int], bool],
    ) -> None:
        """POST JSON or a multipart body; 503 and 429 with Retry-After count as rejected.

        All other answers must be right.
        """
        multipart = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        content: dict[str, Any] = {"json": body}
        if isinstance(body, bytes):
            content = {"data": body}
        headers = {**self.headers, **(multipart if isinstance(body, bytes) else {})}
        with self.client.post(
            path, name=name, headers=headers, catch_response=True, **content
        ) as response:
            if response.status_code in (429, 503):
                REJECTED[name] += 1
                if response.headers.get("Retry-After", "").isdigit():
                    response.success()
                else:
                    response.failure("rejected without an integer Retry-After")
            elif response.status_code != 200:
                response.failure(f"status {response.status_code}")
            elif not check(json.loads(response.text), count):
                response.failure("wrong answer")


class ShortEmbedUser(PentadUser):
    """One short text per request, as a search box sends."""

    weight = 12
    wait_time = constant_throughput(4)

    @task
    def embed(self) -> None:
        """Embed one text."""
        texts = [workload.short_text(random.Random())]
        self.ask("embed_short", "/text/embed", {"texts": texts}, 1, _check_embed)


class OpenAIUser(PentadUser):
    """The OpenAI wire format."""

    weight = 6
    wait_time = constant_throughput(2)

    @task
    def embed(self) -> None:
        """Embed two texts."""
        texts = [workload.short_text(random.Random()) for _ in range(2)]
        body = {"model": "all-MiniLM-L6-v2", "input": texts}
        self.ask("openai_embeddings", "/v1/embeddings", body, 2, _check_openai)


class BulkEmbedUser(PentadUser):
    """The largest documented request, as an indexing job sends."""

    weight = 3
    wait_time = constant_throughput(0.2)

    @task
    def embed(self) -> None:
        """Embed 100 texts of mixed length."""
        texts = [workload.mixed_text(random.Random()) for _ in range(workload.TEXTS)]
        self.ask("embed_bulk", "/text/embed", {"texts": texts}, len(texts), _check_embed)


class BertScoreUser(PentadUser):
    """Scores 20 pairs, as an evaluation run sends."""

    weight = 3
    wait_time = constant_throughput(0.3)

    def on_start(self) -> None:
        """Prepare the pairs."""
        self._candidates, self._references = workload.pairs(1, repeated=False)[0]

    @task
    def score(self) -> None:
        """Score 20 of them."""
        start = random.randrange(80)
        part = slice(start, start + 20)
        body = {"candidates": self._candidates[part], "references": self._references[part]}
        self.ask("bertscore", "/text/bertscore", body, 20, _check_bertscore)


class ClassifyUser(PentadUser):
    """One picture per request, as a camera sends."""

    weight = 4
    wait_time = constant_throughput(2)
    picture = (PICTURES / "chelsea.jpg").read_bytes()

    @task
    def classify(self) -> None:
        """Classify a cat."""
        head = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; '
            'filename="cat.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        )
        body = head.encode() + self.picture + f"\r\n--{BOUNDARY}--\r\n".encode()
        self.ask("classify", "/vision/infer", body, 5, _check_classes)


class EnrollUser(PentadUser):
    """Enrolls a face from two poses."""

    weight = 2
    wait_time = constant_throughput(0.3)
    picture = base64.b64encode((PICTURES / "astronaut.jpg").read_bytes()).decode()

    @task
    def enroll(self) -> None:
        """Enroll an astronaut."""
        images = [{"pose": pose, "data": self.picture} for pose in ("front", "left")]
        body = {"employee_id": "load-test", "images": images}
        self.ask("enroll", "/iot/vectorizer", body, len(images), _check_enrollment)
