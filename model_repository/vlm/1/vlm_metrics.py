"""Triton metrics of the model `vlm`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from guarded_metrics import GuardedMetrics, Series

OUTCOMES = ("answered", "refused", "cancelled", "deadline", "dead", "failed")
TOKENS = ("prompt_tokens", "completion_tokens", "reasoning_tokens")


class VlmMetrics(GuardedMetrics):
    """Counters by outcome and gauges of the engine's load."""

    def __init__(self, model: str, messages: AbstractContextManager[Any]) -> None:
        """`model` labels every series; `messages` is locked for every message to the server."""
        super().__init__("pentad_vlm", model, messages)
        self.add("COUNTER", "requests_total", "Requests by how they ended", "outcome", OUTCOMES)
        self.add("COUNTER", "tokens_total", "Tokens by kind", "kind", TOKENS)
        states = ("generating", "waiting")
        self.add("GAUGE", "load", "Requests in the engine by state", "state", states)
        self.start()

    def count(self, outcome: str, usage: Mapping[str, int] | None = None) -> None:
        """Count one request of OUTCOMES and, when it was answered, its tokens."""
        amounts: dict[Series, float] = {
            ("tokens_total", kind): tokens for kind, tokens in (usage or {}).items()
        }
        self.increment({("requests_total", outcome): 1, **amounts})

    def show_load(self, generating: int, waiting: int) -> None:
        """Show the engine's load."""
        self.show({("load", "generating"): generating, ("load", "waiting"): waiting})
