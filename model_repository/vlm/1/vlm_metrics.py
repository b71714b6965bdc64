"""Triton metrics of the model `vlm`: Triton's own count an error that is sent as a success."""

import gc

import triton_python_backend_utils as pb_utils

OUTCOMES = ("answered", "refused", "cancelled", "deadline", "dead", "failed")


class VlmMetrics:
    """Counters by outcome and gauges of the engine's load.

    Call `close` before the interpreter ends: Triton's objects crash the stub otherwise.
    """

    def __init__(self, model):
        """`model` is the label of every series."""
        labels = {"model": model}
        requests = pb_utils.MetricFamily(
            name="pentad_vlm_requests_total",
            description="Requests by how they ended",
            kind=pb_utils.MetricFamily.COUNTER,
        )
        load = pb_utils.MetricFamily(
            name="pentad_vlm_load",
            description="Requests in the engine by state",
            kind=pb_utils.MetricFamily.GAUGE,
        )
        tokens = pb_utils.MetricFamily(
            name="pentad_vlm_tokens_total",
            description="Tokens by kind",
            kind=pb_utils.MetricFamily.COUNTER,
        )
        self._families = (requests, load, tokens)
        self._requests = {
            outcome: requests.Metric(labels={**labels, "outcome": outcome}) for outcome in OUTCOMES
        }
        self._load = {
            state: load.Metric(labels={**labels, "state": state})
            for state in ("generating", "waiting")
        }
        self._tokens = {
            kind: tokens.Metric(labels={**labels, "kind": kind})
            for kind in ("prompt_tokens", "completion_tokens", "reasoning_tokens")
        }
        self._shown = {}

    def count(self, outcome, usage=None):
        """Counts one request of OUTCOMES and, when it was answered, its tokens."""
        if self._families:
            self._requests[outcome].increment(1)
            for kind, tokens in (usage or {}).items():
                self._tokens[kind].increment(tokens)

    def show_load(self, generating, waiting):
        """Shows the engine's load; a call for every token costs nothing while nothing changes."""
        for state, value in (("generating", generating), ("waiting", waiting)):
            if self._families and self._shown.get(state) != value:
                self._shown[state] = value
                self._load[state].set(value)

    def close(self):
        """Drops Triton's objects; counting does nothing from now on."""
        self._families = ()
        for series in (self._requests, self._load, self._tokens):
            series.clear()
        gc.collect()
