"""Triton metrics of the model `tryon`: Triton's own count an error that is sent as a success.

Several metric calls at once from different threads crash Triton 2.51 (a lock_exception), so figures
are collected here and one thread passes them on, under the lock of all messages to the server.
"""

import gc
import threading

import triton_python_backend_utils as pb_utils

OUTCOMES = ("answered", "input", "pose", "garment", "pipeline", "cancelled", "timeout", "full")
STEPS = ("PrepareInputs", "ResizeImages", "Inference", "CollectResult", "ClearGPUCache", "other")
PERIOD = 0.5
"""Seconds between two times that the figures are passed on."""


class TryonMetrics:
    """Counters by outcome and step, and a gauge of the load; may be called from any thread.

    Call `close` before the interpreter ends: Triton's objects crash the stub otherwise.
    """

    def __init__(self, model, messages):
        """`model` labels every series; `messages` is locked for every message to the server."""
        self._model = model
        self._messages = messages
        self._families = []
        self._series = {}
        self._add("COUNTER", "jobs_total", "Jobs by how they ended", "outcome", OUTCOMES)
        self._add("COUNTER", "step_seconds_total", "Time of the steps", "step", STEPS)
        self._add("COUNTER", "steps_total", "Steps done", "step", STEPS)
        self._add("GAUGE", "load", "Jobs in the model by state", "state", ("running", "waiting"))
        self._lock = threading.Lock()
        self._added = {}
        self._levels = {}
        self._shown = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="metrics", daemon=True)
        self._thread.start()

    def count(self, outcome, step_ms=None):
        """Counts one job of OUTCOMES and the milliseconds of its steps."""
        with self._lock:
            self._count("jobs_total", outcome, 1)
            for step, milliseconds in (step_ms or {}).items():
                label = step if step in STEPS else "other"  # users' steps have any names
                self._count("step_seconds_total", label, milliseconds / 1e3)
                self._count("steps_total", label, 1)

    def show_load(self, running, waiting):
        """Shows the jobs that are under way."""
        self._levels = {("load", "running"): running, ("load", "waiting"): waiting}

    def close(self):
        """Passes the last figures on and drops Triton's objects."""
        self._closing.set()
        self._thread.join()
        self._families.clear()
        self._series.clear()
        gc.collect()

    def _count(self, name, label, value):
        self._added[name, label] = self._added.get((name, label), 0) + value

    def _loop(self):
        while not self._closing.wait(PERIOD):
            self._pass_on()
        self._pass_on()

    def _pass_on(self):
        with self._lock:
            added, self._added = self._added, {}
        levels = self._levels
        with self._messages:
            for key, value in added.items():
                if value:
                    self._series[key].increment(value)
            for key, value in levels.items():
                if self._shown.get(key) != value:
                    self._series[key].set(value)
        self._shown = levels

    def _add(self, kind, name, description, label, values):
        family = pb_utils.MetricFamily(
            name=f"pentad_tryon_model_{name}",
            description=description,
            kind=getattr(pb_utils.MetricFamily, kind),
        )
        self._families.append(family)
        for value in values:
            labels = {"model": self._model, label: value}
            self._series[name, value] = family.Metric(labels=labels)
