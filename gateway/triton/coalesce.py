"""Joins small requests that would wait anyway into one call to Triton.

A call costs the gateway, tritonserver and the model's process about a third of the CPU time that
encoding a short text takes, and a network does more with many rows at once. Few requests are calls
of their own, at once. Of many, those that are there travel together in groups of a good third of
them: two groups compute while the clients of another one come back. A group waits for its last
members while another one computes, or, where none does, as long as they would take to arrive at
the rate of now; a request that nobody follows does not wait.
"""

from __future__ import annotations

import asyncio
import copy
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from gateway.errors import DeadlineError, GatewayError
from gateway.triton.port import TritonPort
from gateway.triton.tensors import Array, Tensor

Inputs = Mapping[str, Tensor]
Answer = dict[str, Array]


SHARE = 3 / 8
"""Of the rows in work that a group waits for: of 32, 12."""
LONGEST_PAUSE = 0.02
"""Seconds that a group waits while nothing computes; half of what 32 clients wait for each other on
two cores."""
LONGEST_TURN = 0.1
"""Seconds that a group waits while another one computes: the models' bound of a call."""
MEMORY = 0.25
"""Seconds in which a crowd that has left is forgotten to a third."""

LONGEST_GAP = 0.05
"""Seconds between two requests that count as much as a longer pause: nobody waits for that."""


class Crowd:
    """How many rows are in work, of late, and how fast they arrive."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock``: seconds."""
        self._clock = clock
        self._size = 0.0
        self._at = clock()
        self._gap = LONGEST_GAP

    def seen(self, rows: int, in_work: int) -> float:
        """Note a request; returns how many rows have been in work at once, of late.

        Args:
            rows: of the request.
            in_work: rows of all requests, this one included.
        """
        now = self._clock()
        passed, self._at = now - self._at, now
        self._size = max(float(in_work), self._size * math.exp(-passed / MEMORY))
        self._gap += (min(passed, LONGEST_GAP) / rows - self._gap) / 16
        return self._size

    def share(self, part: float) -> int:
        """Return a part of the rows in work, at least one."""
        return max(1, math.ceil(part * self._size))

    def seconds_for(self, rows: int) -> float:
        """Return how long so many rows take to arrive, by the last ones."""
        return rows * self._gap


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
        calls: rows in work, of late, up to which every request is a call of its own.
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
        self._crowd = Crowd()
        self._rows_in_work = 0
        self._due: asyncio.Handle | None = None
        self._waiting_since: float | None = None

    async def infer(self, inputs: Inputs, timeout: float) -> Answer:
        """Return the outputs for these rows, as :meth:`TritonPort.infer`.

        Raises:
            GatewayError: as :meth:`TritonPort.infer`; all requests of a joined call share it.
        """
        member = _Member(inputs, time.monotonic() + timeout)
        self._rows_in_work += member.rows
        try:
            crowd = self._crowd.seen(member.rows, self._rows_in_work)
            if crowd <= self._calls and self._under_way < self._calls and not self._pending:
                self._under_way += 1
                try:
                    return await self._triton.infer(
                        self._model, inputs, self._outputs, timeout=timeout
                    )
                finally:
                    self._under_way -= 1
                    self._look_again()
            return await self._join(member, timeout)
        finally:
            self._rows_in_work -= member.rows

    async def _join(self, member: _Member, timeout: float) -> Answer:
        self._pending.append(member)
        self._look_again()
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

    def _look_again(self) -> None:
        """Look for groups that may go once all that has arrived in this moment is there."""
        if self._due is not None:
            self._due.cancel()
        self._due = asyncio.get_running_loop().call_soon(self._send_groups)

    def _send_groups(self, last: bool = False) -> None:
        """Send the groups that are large enough; a smaller one where it has no reason to wait."""
        self._due = None
        waiting = sum(member.rows for member in self._pending)
        enough = min(self._rows, self._crowd.share(SHARE))
        while self._pending:
            if waiting < enough and not last and self._waits(enough - waiting):
                return
            last, self._waiting_since = False, None
            members = self._take()
            waiting -= sum(member.rows for member in members)
            self._under_way += 1
            call = _Call(members)
            for member in members:
                member.call = call
            call.task = asyncio.ensure_future(self._send(members))

    def _waits(self, missing: int) -> bool:
        """Whether a group waits for its last rows; if so, it goes without them in the end.

        Args:
            missing: rows.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._waiting_since is None:
            self._waiting_since = now
        longest = LONGEST_TURN if self._under_way else LONGEST_PAUSE
        left = self._waiting_since + longest - now
        # The end of a call is a look as well: a group that waits for one seldom waits so long.
        pause = left if self._under_way else self._crowd.seconds_for(missing)
        if not 0 < pause <= left:
            return False
        self._due = loop.call_later(pause, self._send_groups, True)
        return True

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
            self._under_way -= 1
            self._look_again()


def _join(members: list[_Member]) -> dict[str, Tensor]:
    """Return the members' rows as one set of tensors; row-major bytes simply follow each other."""
    joined = {}
    for name, first in members[0].inputs.items():
        parts = [member.inputs[name] for member in members]
        shape = (sum(part.shape[0] for part in parts), *first.shape[1:])
        joined[name] = Tensor(first.datatype, shape, b"".join(part.data for part in parts))
    return joined
