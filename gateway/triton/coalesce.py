"""Joins small requests that would wait anyway into one call to Triton.

A call costs the gateway, tritonserver and the model's process about a third of the CPU time that
encoding a short text takes. While few calls are under way every request is a call of its own;
beyond that, requests that arrive together travel together. Triton still batches across calls.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections import deque
from collections.abc import Mapping, Sequence

from gateway.errors import DeadlineError, GatewayError
from gateway.triton.port import TritonPort
from gateway.triton.tensors import Array, Tensor

Inputs = Mapping[str, Tensor]
Answer = dict[str, Array]


class _Member:
    """One request of a joined call."""

    def __init__(self, inputs: Inputs, deadline: float) -> None:
        self.inputs = inputs
        self.rows = next(iter(inputs.values())).shape[0]
        self.deadline = deadline
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.call: _Call | None = None
        self.answered = False

    def answer_with(self, reply: Answer | GatewayError) -> None:
        """Hand over what came of the call, unless the request has left it."""
        if self.answer.done():
            return
        self.answered = True
        if isinstance(reply, GatewayError):
            self.answer.set_exception(reply)
        else:
            self.answer.set_result(reply)

    def expire(self) -> None:
        """Take note that the request's time is over."""
        if not self.answer.done():
            self.answer.set_exception(DeadlineError())


class _Call:
    """A joined call and who waits for it."""

    def __init__(self, members: list[_Member]) -> None:
        self.waiting = len(members)
        self.task: asyncio.Task[None] | None = None

    def leave(self) -> None:
        """One member is gone; when all are, the inference is cancelled."""
        self.waiting -= 1
        if self.waiting == 0 and self.task:
            self.task.cancel()


class Coalescer:
    """Small requests to one model for the same outputs.

    Args:
        triton: where the calls go.
        model: Triton model whose inputs and outputs are rows along the first dimension.
        outputs: outputs every request wants.
        calls: calls under way from which on requests are joined.
        rows: most rows of a joined call.
    """

    def __init__(
        self, triton: TritonPort, model: str, outputs: Sequence[str], calls: int, rows: int
    ) -> None:
        self._triton = triton
        self._model = model
        self._outputs = tuple(outputs)
        self._calls = calls
        self._rows = rows
        self._under_way = 0
        self._pending: deque[_Member] = deque()

    async def infer(self, inputs: Inputs, timeout: float) -> Answer:
        """Return the outputs for these rows, as :meth:`TritonPort.infer`.

        Raises:
            GatewayError: as :meth:`TritonPort.infer`; all requests of a joined call share it.
        """
        if self._under_way < self._calls and not self._pending:
            self._under_way += 1
            try:
                return await self._triton.infer(self._model, inputs, self._outputs, timeout=timeout)
            finally:
                self._finished()
        member = _Member(inputs, time.monotonic() + timeout)
        self._pending.append(member)
        # A timer and a future: asyncio.wait costs five times as much.
        timer = asyncio.get_running_loop().call_later(timeout, member.expire)
        try:
            return await member.answer
        finally:
            timer.cancel()
            if not member.answered:
                self._leave(member)

    def _leave(self, member: _Member) -> None:
        if member.call:
            member.call.leave()
        else:
            self._pending.remove(member)

    def _finished(self) -> None:
        self._under_way -= 1
        while self._pending and self._under_way < self._calls:
            self._under_way += 1
            members = self._take()
            call = _Call(members)
            for member in members:
                member.call = call
            call.task = asyncio.ensure_future(self._send(members))

    def _take(self) -> list[_Member]:
        members = [self._pending.popleft()]
        rows = members[0].rows
        while self._pending and rows + self._pending[0].rows <= self._rows:
            rows += self._pending[0].rows
            members.append(self._pending.popleft())
        return members

    async def _send(self, members: list[_Member]) -> None:
        timeout = max(member.deadline for member in members) - time.monotonic()
        try:
            reply = await self._triton.infer(
                self._model, _join(members), self._outputs, timeout=max(timeout, 0.001)
            )
        except GatewayError as error:
            for member in members:
                member.answer_with(copy.copy(error))
        else:
            start = 0
            for member in members:
                rows = slice(start, start + member.rows)
                start += member.rows
                member.answer_with({name: reply[name][rows] for name in self._outputs})
        finally:
            self._finished()


def _join(members: list[_Member]) -> dict[str, Tensor]:
    """Return the members' rows as one set of tensors; row-major bytes simply follow each other."""
    joined = {}
    for name, first in members[0].inputs.items():
        parts = [member.inputs[name] for member in members]
        shape = (sum(part.shape[0] for part in parts), *first.shape[1:])
        joined[name] = Tensor(first.datatype, shape, b"".join(part.data for part in parts))
    return joined
