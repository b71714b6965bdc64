"""A model's Triton metrics: collected by any thread, passed on by one.

Triton's own count an error that is sent as a success. Nothing is labelled by client: there may be
thousands.

Every call of a Triton metric is a message to the server, and several at once from different threads
crash it (seen with 2.51: tritonserver aborts with a lock_exception after some hundred requests). So
figures are collected here, and one thread passes them on, under the lock of all such messages.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import triton_python_backend_utils as pb_utils

Series: TypeAlias = "tuple[str, str | None]"
"""Name and label value; None: the family has no label."""

PERIOD = 0.5
"""Seconds between two times that the figures are passed on."""


class GuardedMetrics:
    """Counters and gauges of one model; may be called from any thread.

    Call `close` before the interpreter ends: Triton's objects crash the stub otherwise.
    """

    def __init__(self, prefix: str, model: str, messages: AbstractContextManager[Any]) -> None:
        """Prepare them; `add` makes the series and `start` the thread.

        Args:
            prefix: Of every name, such as "pentad_lipsync".
            model: Label of every series.
            messages: Lock around everything that is a message to the server.
        """
        self._prefix = prefix
        self._labels = {"model": model}
        self._messages = messages
        self._families: list[pb_utils.MetricFamily] = []
        self._series: dict[Series, pb_utils.Metric] = {}
        self._lock = threading.Lock()
        self._added: dict[Series, float] = {}
        self._levels: dict[Series, float] = {}
        self._shown: dict[Series, float] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="metrics", daemon=True)

    def add(
        self,
        kind: str,
        name: str,
        description: str,
        label: str = "",
        values: Sequence[str] = (),
    ) -> None:
        """Make a family, with a series for each of a label's values; `kind` is COUNTER or GAUGE.

        A series is known by its name and that value.
        """
        family = pb_utils.MetricFamily(
            name=f"{self._prefix}_{name}",
            description=description,
            kind=getattr(pb_utils.MetricFamily, kind),
        )
        self._families.append(family)
        if not label:
            self._series[name, None] = family.Metric(labels=self._labels)
        for value in values:
            self._series[name, value] = family.Metric(labels={**self._labels, label: value})

    def start(self) -> None:
        """Start to pass figures on."""
        self._thread.start()

    def increment(self, amounts: Mapping[Series, float]) -> None:
        """Add to counters: amounts by name and label value, all of them or none at a time."""
        with self._lock:
            for key, amount in amounts.items():
                self._added[key] = self._added.get(key, 0) + amount

    def show(self, levels: Mapping[Series, float]) -> None:
        """Set gauges: levels by name and label value."""
        with self._lock:
            self._levels.update(levels)

    def levels(self) -> Mapping[Series, float]:
        """Levels that are read when figures are passed on; for a model to override."""
        return {}

    def close(self) -> None:
        """Pass the last figures on and drop Triton's objects; from now on nothing is counted."""
        self._closing.set()
        self._thread.join()
        self._families.clear()
        self._series.clear()
        gc.collect()

    def _loop(self) -> None:
        while not self._closing.wait(PERIOD):
            self._pass_on()
        self._pass_on()

    def _pass_on(self) -> None:
        read = self.levels()
        with self._lock:
            added, self._added = self._added, {}
            levels = {**self._levels, **read}
        with self._messages:
            for key, value in added.items():
                if value:
                    self._series[key].increment(value)
            for key, value in levels.items():
                if self._shown.get(key) != value:
                    self._series[key].set(value)
        self._shown = levels
