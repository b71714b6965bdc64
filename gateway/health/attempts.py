"""Decides which inferences are asked again, and keeps the requests until their model is back.

An inference is lost when tritonserver or a model's process ends under it, or before it got there.
Nobody but the client would miss it: models keep nothing between requests, so it is asked again.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.errors import DeadlineError, GatewayError
from gateway.health.monitor import HealthMonitor
from gateway.health.state import ModelState
from gateway.triton.status import CRASHES, LostError

T = TypeVar("T")
TRIES = 6
"""Of one inference, however often its model is away."""


class Attempts:
    """The tries of one inference.

    Args:
        monitor: told of every loss, and counts what is asked again.
    """

    def __init__(self, monitor: HealthMonitor) -> None:
        self._monitor = monitor
        self._lost = self._crashes = 0

    def note(self, model: ModelState, error: GatewayError, began: float) -> None:
        """Note how a try ended; returns if there is to be another.

        Args:
            model: which was asked.
            error: how it ended.
            began: when, by the monotonic clock.

        Raises:
            GatewayError: ``error``, if it is final.
        """
        if not isinstance(error, LostError):
            raise error
        self._monitor.failed(model, error, began)
        self._lost += 1
        self._crashes += error.ran
        if self._lost >= TRIES or self._crashes >= CRASHES:
            raise error
        self._monitor.asked_again(model, error)


class Asking:
    """The inferences of one request with one model.

    Args:
        monitor: knows whether the model is there.
        deadline: of the request, by the monotonic clock.
    """

    def __init__(self, monitor: HealthMonitor, model: ModelState, deadline: float) -> None:
        self._monitor = monitor
        self._model = model
        self._deadline = deadline

    async def __call__(self, infer: Callable[[float], Awaitable[T]]) -> T:
        """Return what ``infer`` does, which gets the seconds left and may be called repeatedly.

        Raises:
            UnavailableError: the model is not back in time, or the inference was lost too often.
            DeadlineError: no time is left.
            GatewayError: as ``infer``.
        """
        attempts = Attempts(self._monitor)
        while True:
            await self._monitor.back(self._model, self._deadline)
            began = time.monotonic()
            if began >= self._deadline:
                raise DeadlineError
            try:
                return await infer(self._deadline - began)
            except LostError as error:
                attempts.note(self._model, error, began)
