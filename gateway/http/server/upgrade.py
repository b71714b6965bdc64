"""Goes on with a request that offers another protocol (RFC 9110, section 7.8: it may be ignored).

The parser ends at the head of such a request: it takes what follows for the other protocol. The
head has been checked and handed on by then, so a fresh parser is given a head that announces the
same body, and reads on from the very byte at which the first one stopped.
"""

from __future__ import annotations

from typing import Protocol

import httptools


class Receiver(Protocol):
    """What the parser calls."""

    def on_message_begin(self) -> None: ...  # noqa: D102
    def on_url(self, url: bytes) -> None: ...  # noqa: D102
    def on_header(self, name: bytes, value: bytes) -> None: ...  # noqa: D102
    def on_headers_complete(self) -> None: ...  # noqa: D102
    def on_chunk_header(self) -> None: ...  # noqa: D102
    def on_body(self, body: bytes) -> None: ...  # noqa: D102
    def on_message_complete(self) -> None: ...  # noqa: D102


class _AfterHead:
    """Passes everything on but the first head."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._known = True
        self.on_chunk_header = receiver.on_chunk_header
        self.on_body = receiver.on_body
        self.on_message_complete = receiver.on_message_complete

    def on_message_begin(self) -> None:
        if not self._known:
            self._receiver.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._known:
            self._receiver.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._known:
            self._receiver.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._known:
            self._known = False
        else:
            self._receiver.on_headers_complete()


def parser_after(framing: bytes, receiver: Receiver) -> httptools.HttpRequestParser:
    """Return a parser for the body of a request whose head ``receiver`` has had.

    Args:
        framing: a head that announces the same body.
        receiver: is told of the body, and of all that follows.
    """
    parser = httptools.HttpRequestParser(_AfterHead(receiver))
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # it is thrown away
    parser.feed_data(framing)
    return parser
