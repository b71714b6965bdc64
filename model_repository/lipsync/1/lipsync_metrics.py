"""Triton metrics of the model `lipsync`: Triton's own count an error that is sent as a success.

Nothing is labelled by tenant: there may be thousands. Figures by tenant are in `stats`.

Every call of a Triton metric is a message to the server, and several at once from different threads
crash it (seen with 2.51: tritonserver aborts with a lock_exception after some hundred requests). So
figures are collected here, and one thread passes them on.
"""

import gc
import threading

import triton_python_backend_utils as pb_utils

OUTCOMES = ("answered", "refused", "not_loaded", "full", "cancelled", "deadline", "failed")
LOADS = ("loaded", "imported", "failed")
PERIOD = 0.5
"""Seconds between two times that the figures are passed on."""


class LipsyncMetrics:
    """Counters by outcome and gauges of the load; may be called from any thread.

    Call `close` before the interpreter ends: Triton's objects crash the stub otherwise.
    """

    def __init__(self, model, messages, tenants):
        """Starts the thread.

        Args:
            model: Label of every series.
            messages: Lock around everything that is a message to the server.
            tenants: Gives the resident tenants and the bytes of their weights.
        """
        self._labels = {"model": model}
        self._messages = messages
        self._tenants = tenants
        self._families = []
        self._series = {}
        self._add("COUNTER", "requests_total", "Requests for frames by how they ended", OUTCOMES)
        self._add("COUNTER", "tenant_loads_total", "Loads by outcome", LOADS)
        self._add("COUNTER", "frames_total", "Frames answered")
        self._add("COUNTER", "compute_seconds_total", "Time of their requests")
        self._add("GAUGE", "load", "Requests in the model by state", ("running", "waiting"))
        self._add("GAUGE", "tenants", "Resident tenants")
        self._add("GAUGE", "tenant_bytes", "Memory of their weights, measured")
        self._lock = threading.Lock()
        self._added = {}
        self._levels = {}
        self._shown = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="metrics", daemon=True)
        self._thread.start()

    def count(self, outcome, frames=0, seconds=0.0):
        """Counts one request of OUTCOMES and, when it was answered, its frames and time."""
        with self._lock:
            for key, value in (
                (("requests_total", outcome), 1),
                (("frames_total", None), frames),
                (("compute_seconds_total", None), seconds),
            ):
                self._added[key] = self._added.get(key, 0) + value

    def count_load(self, outcome):
        """Counts one load of LOADS."""
        key = ("tenant_loads_total", outcome)
        with self._lock:
            self._added[key] = self._added.get(key, 0) + 1

    def show_load(self, running, waiting):
        """Shows the requests that are under way."""
        self._levels = {("load", "running"): running, ("load", "waiting"): waiting}

    def close(self):
        """Passes the last figures on and drops Triton's objects."""
        self._closing.set()
        self._thread.join()
        self._families.clear()
        self._series.clear()
        gc.collect()

    def _loop(self):
        while not self._closing.wait(PERIOD):
            self._pass_on()
        self._pass_on()

    def _pass_on(self):
        with self._lock:
            added, self._added = self._added, {}
        tenants, memory_bytes = self._tenants()
        levels = {
            **self._levels,
            ("tenants", None): tenants,
            ("tenant_bytes", None): memory_bytes,
        }
        with self._messages:
            for key, value in added.items():
                if value:
                    self._series[key].increment(value)
            for key, value in levels.items():
                if self._shown.get(key) != value:
                    self._series[key].set(value)
        self._shown = levels

    def _add(self, kind, name, description, values=(None,)):
        family = pb_utils.MetricFamily(
            name=f"pentad_lipsync_{name}",
            description=description,
            kind=getattr(pb_utils.MetricFamily, kind),
        )
        self._families.append(family)
        label = "state" if kind == "GAUGE" else "outcome"
        for value in values:
            labels = {**self._labels, **({label: value} if value else {})}
            self._series[name, value] = family.Metric(labels=labels)
