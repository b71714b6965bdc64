"""Notices a server of several that has fallen silent, while others answer.

Where packets are dropped, a machine has lost its power or a process hangs, no connection ends: a
request waits until its deadline, and gRPC's keepalive needs half a minute. So every server is asked
all the time whether it lives. One that says nothing while another one answers gets no work, and
what waits for it is done elsewhere. Where none answers, it may be this process that was held up,
and nothing is concluded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from gateway.telemetry.log import where
from gateway.triton.member import Member

log = logging.getLogger(__name__)
PAUSE = 0.5  # seconds between two rounds of questions
PATIENCE = 1.5  # seconds for an answer: with the pause and the second miss 3.5 s in all
MISSES = 2  # in a row


class Heartbeat:
    """Asks the servers of a pool in turn.

    Args:
        live: returns those that answered when last asked.
        silent: told of one that no longer does.
    """

    def __init__(
        self, live: Callable[[], Sequence[Member]], silent: Callable[[Member], None]
    ) -> None:
        self._live, self._silent = live, silent
        self._missed: dict[Member, int] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, unless it has; call it in the running loop."""
        if self._task is None:
            self._task = asyncio.create_task(self._beat(), name="triton-heartbeat")

    async def stop(self) -> None:
        """End."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def round(self) -> bool:
        """Ask each server once; return whether all have answered."""
        members = self._live()
        if len(members) < 2:
            self._missed.clear()
            return True
        answers = await asyncio.gather(*(member.client.live(PATIENCE) for member in members))
        missed = {}
        if any(answers):
            silent = [member for member, live in zip(members, answers, strict=True) if not live]
            missed = {member: self._missed.get(member, 0) + 1 for member in silent}
        for member in [member for member, count in missed.items() if count >= MISSES]:
            del missed[member]
            self._silent(member)
        self._missed = missed
        return all(answers)

    async def _beat(self) -> None:
        while True:
            quick = False
            try:
                quick = not await self.round() and bool(self._missed)
            except Exception as error:  # it must outlive its bugs
                log.error("heartbeat of the Tritons broke", extra=where(error))
            if not quick:
                await asyncio.sleep(PAUSE)
