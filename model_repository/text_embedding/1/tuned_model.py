"""What every model does whose calls of its networks may be measured (tuning.py)."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

import model_io
import triton_python_backend_utils as pb_utils
from engine_values import Calls
from tuning import Tuning

Trial = Callable[[int, int], None]
"""Makes a call of so many rows of so many tokens, as the workers make it."""


class TunedModel(model_io.QueuedModel):
    """Exchanges its workers between two executions, when there are other values for them.

    Attributes:
        facts: What MODEL_INFO tells beside the calls.
        info: MODEL_INFO: the facts, and how each network is called.
    """

    facts: dict[str, Any]

    def tune(self, *tunings: tuple[Tuning, Trial]) -> None:
        """Start the workers with the values so far; the last step of `initialize`."""
        self._tunings = tunings
        self._restart()
        gc.freeze()  # what was imported and read stays: walking it again and again costs time

    def start(self, calls: Sequence[Calls]) -> Callable[[], None]:
        """Start workers.

        Args:
            calls: How they call each network.

        Returns:
            What ends them once they have finished what they have.
        """
        raise NotImplementedError

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> None:
        """Queue the requests, for new workers where those are due."""
        renewed = [tuning.renewed(trial) for tuning, trial in self._tunings]
        if any(renewed):
            stop = self._stop
            self._restart()
            threading.Thread(target=stop).start()
        if any(
            tuning.values is not values
            for (tuning, _), values in zip(self._tunings, self._values, strict=True)
        ):
            self._describe()  # they stayed, and there is a reason
        super().execute(requests)

    def finalize(self) -> None:
        """Let the workers finish."""
        for tuning, _ in self._tunings:
            tuning.stop()
        self._stop()

    def _restart(self) -> None:
        self._describe()
        for (tuning, _), values in zip(self._tunings, self._values, strict=True):
            called = f"{tuning.network} is called with {values.calls}: {values.source}"
            pb_utils.Logger.log_info(called)
        self._stop = self.start([values.calls for values in self._values])

    def _describe(self) -> None:
        self._values = [tuning.values for tuning, _ in self._tunings]
        networks = [tuning.network for tuning, _ in self._tunings]
        rows = (values.as_json() for values in self._values)
        calls = dict(zip(networks, rows, strict=True))
        self.info = json.dumps({**self.facts, "calls": calls}).encode()
