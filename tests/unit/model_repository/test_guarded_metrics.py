"""Figures from any thread reach Triton from one, under the lock, and none is lost."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[3] / "model_repository"
MODELS = {"lipsync": "LipsyncMetrics", "tryon": "TryonMetrics", "vlm": "VlmMetrics"}


class Server:
    """Triton's side: notes who calls, and whether under the lock."""

    def __init__(self) -> None:
        self.messages = threading.Lock()
        self.values: dict[tuple[str, str], float] = {}
        self.threads: set[str] = set()
        self.unlocked = 0

    def called(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.unlocked += not self.messages.locked()

    def module(self) -> ModuleType:
        server = self

        class Family:
            COUNTER, GAUGE = "counter", "gauge"

            def __init__(self, name: str, description: str, kind: str) -> None:
                self.name = name

            def Metric(self, labels: dict[str, str]) -> Any:
                own = next((value for key, value in labels.items() if key != "model"), "")
                key = (self.name, own)
                server.values[key] = 0

                def increment(amount: float) -> None:
                    server.called()
                    server.values[key] += amount

                def put(value: float) -> None:
                    server.called()
                    server.values[key] = value

                return SimpleNamespace(increment=increment, set=put)

        made = ModuleType("triton_python_backend_utils")
        made.MetricFamily = Family  # type: ignore[attr-defined]
        return made


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server()
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", made.module())
    monkeypatch.delitem(sys.modules, "guarded_metrics", raising=False)
    yield made
    sys.modules.pop("guarded_metrics", None)


def metrics_of(model: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class of a model, loaded from its own folder as Triton does."""
    folder = REPOSITORY / model / "1"
    monkeypatch.syspath_prepend(str(folder))
    spec = importlib.util.spec_from_file_location("of_the_test", folder / f"{model}_metrics.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, MODELS[model])


@pytest.mark.parametrize("model", MODELS)
def test_many_threads_count_and_one_tells(
    model: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = [lambda: (3, 500)] if model == "lipsync" else []
    metrics = metrics_of(model, monkeypatch)("the model", server.messages, *extra)
    with ThreadPoolExecutor(8) as pool:
        for number in range(400):
            pool.submit(metrics.count, "answered")
            pool.submit(metrics.show_load, number, 1)
    metrics.show_load(7, 2)
    metrics.close()
    assert server.threads == {"metrics"}
    assert server.unlocked == 0
    answered = [value for (_, label), value in server.values.items() if label == "answered"]
    assert answered == [400]
    assert 7 in server.values.values()


def test_tokens_of_the_vlm_and_steps_of_tryon(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    vlm = metrics_of("vlm", monkeypatch)("vlm", server.messages)
    vlm.count("answered", {"prompt_tokens": 5, "completion_tokens": 2, "reasoning_tokens": 0})
    vlm.count("refused")
    vlm.close()
    tryon = metrics_of("tryon", monkeypatch)("tryon", server.messages)
    tryon.count("answered", {"Inference": 2000, "Mine": 500, "Yours": 250})
    tryon.close()
    assert server.values["pentad_vlm_tokens_total", "prompt_tokens"] == 5
    assert server.values["pentad_vlm_requests_total", "refused"] == 1
    assert server.values["pentad_tryon_model_step_seconds_total", "other"] == 0.75
    assert server.values["pentad_tryon_model_steps_total", "other"] == 2


def test_what_comes_after_the_end_is_harmless(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = metrics_of("vlm", monkeypatch)("vlm", server.messages)
    metrics.close()
    metrics.count("answered", {"prompt_tokens": 5})
    metrics.show_load(1, 1)
