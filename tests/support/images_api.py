"""A server of OpenAI's images API that answers as a test tells it, below HTTP where it must."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.tiny_pictures import png

MODELS = {"object": "list", "data": [{"id": "tiny-edit", "object": "model"}]}


@dataclass
class Asked:
    """One request for a picture.

    Attributes:
        fields: Texts of the form.
        pictures: Its files, in their order.
        left: Set when the client has closed the connection before the answer.
    """

    headers: dict[str, str]
    fields: dict[str, str]
    pictures: list[bytes]
    left: threading.Event = field(default_factory=threading.Event)


Answer = Callable[[BaseHTTPRequestHandler, Asked], None]


def says(status: int, body: Any = b"", **headers: str) -> Answer:
    """Answer with a status and a body, bytes or what becomes JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def pictures(*files: bytes) -> Any:
    """Return the body of an answer with these files."""
    return {"created": 1, "data": [{"b64_json": base64.b64encode(one).decode()} for one in files]}


def drawn(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
    """Answer with a picture of the size that is asked for, of a colour by the seed."""
    width, height = (int(side) for side in asked.fields["size"].split("x"))
    seed = int(asked.fields["seed"])
    colour = bytes([seed % 256, seed // 256 % 256, 7])
    says(200, pictures(png(width, height, colour)))(handler, asked)


def breaks_off(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
    """Promise an answer, and close in the middle of it."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    handler.wfile.write(b'{"data": [')


def hangs(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
    """Say nothing until the client goes."""
    if handler.connection.recv(1) == b"":
        asked.left.set()


class ImagesApi:
    """The server.

    Attributes:
        answers: Of the next requests for a picture; behind them all are `drawn`.
        asked: Those that came.
        key: That it wants; empty: none.
        models: What `GET /v1/models` answers.
    """

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[Asked] = []
        self.key = ""
        self.models: Answer = says(200, MODELS)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        """Below which the API is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        """Answer no more; a connection to the port is refused from now on."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def images_api() -> Iterator[ImagesApi]:
    """Run the server for the block."""
    api = ImagesApi()
    try:
        yield api
    finally:
        api.close()


def _handler(api: ImagesApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nothing = Asked(dict(self.headers), {}, [])
            answer = says(404) if self.path != "/v1/models" else api.models
            (answer if self._knows_the_key() else says(401))(self, nothing)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fields, files = _form(self.headers["Content-Type"], body)
            asked = Asked(dict(self.headers), fields, files)
            api.asked.append(asked)
            if self.path != "/v1/images/edits":
                says(404)(self, asked)
            elif not self._knows_the_key():
                says(401)(self, asked)
            else:
                (api.answers.pop(0) if api.answers else drawn)(self, asked)

        def _knows_the_key(self) -> bool:
            return not api.key or self.headers["Authorization"] == f"Bearer {api.key}"

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


def _form(kind: str, body: bytes) -> tuple[dict[str, str], list[bytes]]:
    """Return the texts of a form by name, and its files `image[]`."""
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    texts, files = {}, []
    for part in BytesParser(policy=HTTP).parsebytes(head + body).iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        data = part.get_payload(decode=True)
        assert isinstance(data, bytes)
        if part.get_filename():
            assert (name, part.get_content_type()) == ("image[]", "image/png")
            files.append(data)
        else:
            texts[name] = data.decode()
    return texts, files
