"""One connection of an HTTP port: uvicorn's, within limits."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.http.server.cycle import Answering, Cycle, Flow
from gateway.http.server.head import check_head, complete_scope, declared_length, same_framing
from gateway.http.server.lingering import Lingering
from gateway.http.server.meter import Meter, Pace
from gateway.http.server.refusal import FULL, INVALID, SLOW_BODY, SLOW_HEAD, Refusal
from gateway.http.server.upgrade import parser_after
from gateway.http.server.watch import Watch

PIPELINED = 64  # requests that may wait behind the one in work; each takes far more than its bytes
DRAINED = 64 * 2**10  # rest of a refused body, in bytes, that is read to keep the connection
TURNED_AWAY = 16  # connections above the capacity that are told so at a time; others just end
TURNED_AWAY_SECONDS = 1.0

# What is read next. Plain numbers: members of an enum cost too much on the way of every request.
NEW, HEAD, BODY, IDLE = range(4)


class _Stop(Exception):
    """Ends the parser; ``_refusal`` says why."""


class Connection(HttpToolsProtocol):
    """Limits heads, bodies and time; ignores upgrades; ends so that the last answer arrives.

    Args:
        watch: what the listener's connections share.
    """

    transport: asyncio.Transport
    flow: Flow
    cycle: Cycle

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        watch: Watch,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        limits = watch.limits
        self._watch = watch
        self._limits = limits
        self._phase = NEW
        self._since = watch.now  # begin of the phase, or of idleness
        self._arriving = Pace(limits.min_bytes_per_second, limits.stall_seconds)
        self._leaving = Pace(limits.min_bytes_per_second, limits.stall_seconds)
        self._leaving.restart(watch.now, 0)
        self._active: Cycle | None = None  # is being answered; `cycle` is being read
        self._refusal: Refusal | None = None  # why the parser was stopped
        self._last_words: Refusal | None = None  # said when all requests before it are answered
        self._lingering: Lingering | None = None
        self._turned_away = False
        self._framing: bytes | None = None  # of a request that offers another protocol
        self._meter = Meter(limits)
        self._paced = False  # whether the sweep has seen the body

    # The transport's callbacks

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or say that there are too many connections."""
        super().connection_made(transport)
        self.flow = Flow(transport)
        self._answering = Answering(transport, self.end)
        watch = self._watch
        if len(self.connections) - watch.turned_away <= watch.capacity:
            return
        if not watch.make_room(self.loop.time()):
            self._turn_away()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application."""
        super().connection_lost(exc)
        if self._active and not self._active.response_complete:
            self._active.give_up()
        if self._turned_away:
            self._watch.turned_away -= 1

    def data_received(self, data: bytes) -> None:
        """Parse what came, or throw it away when the last answer is given."""
        if self._lingering:
            if self._lingering.enough(len(data), self._watch.now):
                self.transport.close()
            return
        if self._last_words:
            return
        meter = self._meter
        meter.part, meter.begun = len(data), False
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._ignore_upgrade(data, upgrade)
            if self._phase == HEAD:
                self._stop_if(meter.incomplete_head(self.url, self.headers))
            elif self._phase == BODY:
                self._stop_if(meter.incomplete_body())
        except (httptools.HttpParserError, _Stop):
            self._refuse(self._refusal or INVALID)

    def resume_writing(self) -> None:
        """Let the application go on sending: the client reads."""
        super().resume_writing()
        self._leaving.restart(self._watch.now, -self.transport.get_write_buffer_size())

    # The parser's callbacks

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._phase, self._since = HEAD, self._watch.now
        self._meter.begin_head()

    def on_headers_complete(self) -> None:
        """Check the head and hand the request on."""
        parser = self.parser
        version, method = parser.get_http_version(), parser.get_method()
        self._stop_if(self._meter.complete_head(self.url, self.headers))
        self._stop_if(check_head(version, method, self.headers))
        self._stop_if(FULL if len(self.pipeline) >= PIPELINED else None)
        keep_alive = version != "1.0" and parser.should_keep_alive()
        if parser.should_upgrade():
            self._framing = same_framing(self.headers, keep_alive)
        complete_scope(self.scope, self.url, version, method)
        self._phase, self._paced = BODY, False
        self._hand_on(version, keep_alive)
        self.headers = []  # fields that follow the body are none of the request's

    def on_chunk_header(self) -> None:
        """Count a chunk."""
        self._meter.chunks += 1

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body for the application."""
        self._meter.body += len(body)
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """End a request."""
        if self._framing is not None:  # the parser takes the body for another protocol
            return
        self._phase, self._since = IDLE, self._watch.now
        self._meter.begun = True
        if not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()

    # The cycle's and the server's callbacks

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for one."""
        self.server_state.total_requests += 1
        if self._lingering or self.transport.is_closing():
            return
        self._since = self._watch.now
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._active = cycle  # type: ignore[assignment]
            self._start_asgi_task(cycle, app)
        elif self._last_words:
            self._say(self._last_words)
            return
        self.flow.held = bool(self.pipeline or self._last_words)
        self.flow.resume_reading()

    def shutdown(self) -> None:
        """Close unless a request is in work; then its answer is the last."""
        if self._busy():
            self.cycle.keep_alive = False
        else:
            self.transport.close()

    def end(self) -> None:
        """Close: at once when all was read, else the lingering way."""
        if self._lingering or self.transport.is_closing():
            return
        if self._phase == IDLE:
            self.transport.close()
        else:
            self._linger(self._limits.linger_seconds)

    # The listener's sweep

    def check(self, now: float) -> None:
        """End the connection if it has used up its time."""
        unsent = self.transport.get_write_buffer_size()
        all_written = self.transport.is_closing() or not self._busy()
        if not unsent or not (self.flow.write_paused or all_written):
            self._leaving.restart(now, -unsent)
        elif self._leaving.too_slow(now, -unsent):
            self._watch.count("answer_stalled")
            self.transport.abort()
            return
        if self.transport.is_closing():
            return
        if self._lingering:
            if not unsent and self._lingering.over(now):
                self.transport.close()
        elif self._phase == BODY:
            self._check_body(now)
        elif not self._busy():
            self._check_wait(now)

    def pardon(self, seconds: float) -> None:
        """Forgive time in which this process did not listen."""
        self._since += seconds
        self._arriving.pardon(seconds)
        self._leaving.pardon(seconds)

    def yield_place(self, now: float) -> bool:
        """Close if no request would be lost; say whether it did."""
        if self.transport.is_closing() or self._busy():
            return False
        if self._phase == BODY and not self._lingering:
            return False
        if now - self._since < self._watch.pause:
            return False
        self._watch.count("made_room")
        self.transport.close()
        return True

    def _check_wait(self, now: float) -> None:
        waited = now - self._since
        if self._phase == IDLE:
            if waited >= self._watch.keep_alive:
                self.transport.close()
        elif waited >= self._limits.head_seconds:
            if self._phase == HEAD:
                self._refuse(SLOW_HEAD)
            else:
                self._watch.count("silent")
                self.transport.close()

    def _check_body(self, now: float) -> None:
        if self.cycle.response_complete:
            if now - self._since >= self._limits.linger_seconds:
                self.transport.close()
        elif not self._paced or self.flow.read_paused or self.cycle.waiting_for_100_continue:
            self._paced = True
            self._arriving.restart(now, self._meter.body)  # it is new, or not the client who waits
        elif self._arriving.too_slow(now, self._meter.body):
            self._refuse(SLOW_BODY)

    # Reading

    def _ignore_upgrade(self, data: bytes, upgrade: httptools.HttpParserUpgrade) -> None:
        rest = memoryview(data)
        while True:
            rest = rest[upgrade.args[0] :]
            framing, self._framing = self._framing, None
            assert framing is not None  # noqa: S101 - set with the head that ended the parser
            self.parser = parser_after(framing, self)
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as another:
                upgrade = another

    def _stop_if(self, refusal: Refusal | None) -> None:
        if refusal:
            self._refusal = refusal
            raise _Stop

    def _hand_on(self, version: str, keep_alive: bool) -> None:
        self.cycle = cycle = Cycle(
            scope=self.scope,
            transport=cast(asyncio.Transport, self._answering),
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue and version != "1.0",
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        cycle.answering = self._answering
        cycle.rest_is_small = self._rest_is_small
        if self._busy():
            self.pipeline.appendleft((cycle, self.app))
            self.flow.hold()
        else:
            self._active = cycle
            self._start_asgi_task(cycle, self.app)

    def _busy(self) -> bool:
        """Say whether an answer is still to be expected."""
        if self._lingering or self._active is None:
            return False
        return not self._active.response_complete

    # Ending

    def _rest_is_small(self) -> bool:
        length = declared_length(self.cycle.scope["headers"])
        if length is None or self.cycle.waiting_for_100_continue:
            return False  # nobody knows what follows
        return length - self._meter.body <= DRAINED

    def _refuse(self, refusal: Refusal) -> None:
        """Answer for what cannot be read, after the requests before it; nothing more is read."""
        self._watch.count(refusal.reason)
        reading = self.cycle if self._phase == BODY else None
        if reading and self.pipeline and self.pipeline[0][0] is reading:
            self.pipeline.popleft()  # nobody has seen it
        if self._busy() and reading is not self._active:
            self._last_words = refusal
            self.flow.hold()
            return
        if reading and reading.response_started:
            self._linger(self._limits.linger_seconds)
            reading.give_up()
            return
        if reading:
            reading.give_up()
        self._say(refusal)

    def _turn_away(self) -> None:
        watch = self._watch
        watch.count(FULL.reason)
        if watch.turned_away >= TURNED_AWAY:
            self.transport.abort()
            return
        watch.turned_away += 1
        self._turned_away = True
        self._say(FULL, TURNED_AWAY_SECONDS)

    def _say(self, refusal: Refusal, seconds: float | None = None) -> None:
        self.transport.write(refusal.render(self.server_state.default_headers))
        self._linger(seconds or self._limits.linger_seconds)

    def _linger(self, seconds: float) -> None:
        self._lingering = Lingering(self._watch.now, seconds, self._limits.linger_bytes)
        self.flow.held = False
        self.flow.resume_reading()
        self.transport.write_eof()
