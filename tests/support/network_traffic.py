"""Clients of text, vision and try-on at once, and what each of their calls came to."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import httpx

from tests.support import tryon_pictures as pictures
from tests.support.callback_receiver import RESULT, Receiver
from tests.support.tryon_gateway import tryon_form

TEXT, VISION, JOBS = "text", "vision", "jobs"
PERMITTED = (200, 202, 429, 503, 504)
"""What a client may see of a network that breaks."""
PAUSE, AFTER_FAILURE, JOB_PAUSE = 0.1, 0.5, 2.0
UNDER_WAY = 2
"""Jobs that are not delivered yet beside which no further one is submitted."""


@dataclass(frozen=True)
class Call:
    """One call.

    Attributes:
        service: whose.
        begin: by the monotonic clock.
        end: the same.
        status: of the answer, 0 without one.
        retry_after: the header.
    """

    service: str
    begin: float
    end: float
    status: int
    retry_after: str | None

    @property
    def good(self) -> bool:
        return self.status in (200, 202)

    @property
    def seconds(self) -> float:
        return self.end - self.begin


@dataclass
class Traffic:
    """Clients that call until the block ends; use it as an asynchronous context manager.

    Attributes:
        url: of the gateway.
        key: which the clients show.
        receiver: of the results.
        patience: seconds that a client waits for an answer.
        calls: all that have ended.
        accepted: ids of the jobs that were.
    """

    url: str
    key: str
    receiver: Receiver
    patience: float = 60.0
    services: Sequence[str] = (TEXT, VISION, JOBS)
    calls: list[Call] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)

    async def __aenter__(self) -> Traffic:
        self._stopping = asyncio.Event()
        headers = {"Authorization": f"Bearer {self.key}"}
        self._http = httpx.AsyncClient(base_url=self.url, timeout=self.patience, headers=headers)
        jpeg = self._person = pictures.jpeg(pictures.upper(1))
        self._garment = pictures.jpeg(pictures.garment("shirts", 1))
        clients = {
            TEXT: lambda: self._http.post("/text/embed", json={"texts": ["one", "two"]}),
            VISION: lambda: self._http.post("/vision/infer", files={"file": ("p.jpg", jpeg)}),
        }
        self._tasks = [
            asyncio.create_task(self._client(name, clients[name]))
            for name in (TEXT, TEXT, VISION) if name in self.services
        ]  # fmt: skip
        if JOBS in self.services:
            self._tasks.append(asyncio.create_task(self._submitter()))
            self._tasks.append(asyncio.create_task(self._reader()))
        return self

    async def __aexit__(self, *error: object) -> None:
        self._stopping.set()
        await asyncio.gather(*self._tasks)
        await self._http.aclose()

    async def _client(self, name: str, ask: Callable[[], Awaitable[httpx.Response]]) -> None:
        while not self._stopping.is_set():
            call = await self._call(name, ask)
            await self._rest(PAUSE if call.good else AFTER_FAILURE)

    async def _submitter(self) -> None:
        """Submit jobs, each until it is accepted."""
        for number in itertools.takewhile(lambda _: not self._stopping.is_set(), itertools.count()):
            pair = {"masked_user_image": self._person, "garment_image": self._garment}
            data, files = tryon_form(f"job-{time.time_ns()}-{number}", **pair)
            submit = partial(self._http.post, "/vton/tryon", data=data, files=files)
            while not (await self._call(JOBS, submit)).good:
                await self._rest(AFTER_FAILURE)
                if self._stopping.is_set():
                    return
            self.accepted.append(data["job_id"])
            await self._rest(JOB_PAUSE)
            while len(self.undelivered()) >= UNDER_WAY and not self._stopping.is_set():
                await self._rest(PAUSE)

    async def _reader(self) -> None:
        """Look at the latest job again and again."""
        while not self._stopping.is_set():
            if self.accepted:
                path = f"/vton/jobs/{self.accepted[-1]}"
                await self._call(JOBS, partial(self._http.get, path))
            await self._rest(AFTER_FAILURE)

    async def served(self, seconds: float = 60.0) -> None:
        """Wait until every service has given a good answer to a call begun after this."""
        since = time.monotonic()
        while waiting := set(self.services) - {
            call.service for call in self.calls if call.good and call.begin >= since
        }:
            assert time.monotonic() < since + seconds, f"no good answer of {sorted(waiting)}"
            await asyncio.sleep(0.05)

    def undelivered(self) -> list[str]:
        """Return the accepted jobs whose result has not come."""
        return [
            job for job, events in deliveries(self.receiver, self.accepted).items() if not events
        ]

    async def _call(self, name: str, ask: Callable[[], Awaitable[httpx.Response]]) -> Call:
        begin = time.monotonic()
        status, retry_after = 0, None
        try:
            reply = await ask()
            status, retry_after = reply.status_code, reply.headers.get("retry-after")
        except httpx.HTTPError:
            pass
        self.calls.append(Call(name, begin, time.monotonic(), status, retry_after))
        return self.calls[-1]

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except asyncio.TimeoutError:
            return

    def check(self, longest: float) -> None:
        """Check that every answer was a permitted one and in time."""
        strange = [call for call in self.calls if call.status not in PERMITTED]
        assert strange == []
        rude = [
            call
            for call in self.calls
            if call.status in (429, 503) and not (call.retry_after or "").isdecimal()
        ]
        assert rude == []
        late = [call for call in self.calls if call.seconds > longest]
        assert late == []

    def longest(self, since: float) -> float:
        """Return the seconds of the longest call that ended after that."""
        return max(call.seconds for call in self.calls if call.end >= since)

    def failures(self, since: float, until: float = math.inf) -> list[Call]:
        """Return the calls begun in that time that had no good answer."""
        return [call for call in self.calls if since <= call.begin < until and not call.good]

    def row(self, what: str, at: float, mended: float | None = None) -> str:
        """Return a line of Markdown on what clients saw from ``at`` on."""
        cells = [what]
        for name in (TEXT, VISION, JOBS):
            calls = [call for call in self.calls if call.service == name and call.end >= at]
            if not calls:
                cells.append("")
                continue
            bad = Counter(call.status for call in calls if not call.good)
            counts = ", ".join(f"{count} x {status}" for status, count in sorted(bad.items()))
            last = max((call.end for call in calls if not call.good), default=None)
            longest = max(call.seconds for call in calls)
            text = f"{len(calls)} calls, {counts or 'no failure'}, longest {longest:.1f} s"
            if last is not None:
                text += f", last failure after {last - at:.1f} s"
            if mended is not None:
                good = min(
                    (call.end for call in calls if call.good and call.begin >= mended), default=None
                )
                if last is not None and last > mended and good is not None:
                    text += f" ({last - mended:.1f} s after the mending)"
            cells.append(text)
        return "|" + "|".join(cells) + "|"


def deliveries(receiver: Receiver, ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the events (`webhook-id`) of results that the receiver took, by job."""
    events: dict[str, list[str]] = {job_id: [] for job_id in ids}
    for request in receiver.of(RESULT, 200):
        job_id = str(request.fields["job_id"])
        if job_id in events:
            events[job_id].append(request.event_id)
    return events
