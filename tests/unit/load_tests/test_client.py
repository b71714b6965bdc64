import asyncio

import pytest

from load_tests.client import Address, Body, Connection, TransportError, build_request

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
BROKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"


async def serve(replies: list[bytes], step: int) -> tuple[asyncio.Server, Address]:
    """Answer each request with the next reply, ``step`` bytes at a time."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while replies:
            try:
                await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return
            reply = replies.pop(0)
            for start in range(0, len(reply), step):
                writer.write(reply[start : start + step])
                await writer.drain()
                await asyncio.sleep(0)
            if reply in (CLOSING, BROKEN):
                writer.close()
                return

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    return server, Address("127.0.0.1", server.sockets[0].getsockname()[1])


@pytest.mark.parametrize("step", [1, 7, 1000])
async def test_answers_in_pieces_on_one_connection(step):
    server, address = await serve([WHOLE, CHUNKED, CLOSING, WHOLE], step)
    connection = Connection(address)
    request = build_request(address, "GET", "/x")
    answers = [await connection.request(request) for _ in range(4)]
    connection.close()
    server.close()
    assert [answer.status for answer in answers] == [200, 503, 200, 200]
    assert {answer.body for answer in answers} == {b"hello"}


async def test_broken_and_refused_connections_raise():
    server, address = await serve([BROKEN], 1000)
    connection = Connection(address)
    with pytest.raises(TransportError):
        await connection.request(build_request(address, "GET", "/"))
    server.close()
    await server.wait_closed()
    with pytest.raises(TransportError):
        await Connection(address).request(b"")


def test_request_bytes_and_address():
    address = Address.parse("http://127.0.0.1:9000/text/")
    request = build_request(address, "POST", "/embed", Body.json({"texts": ["ü"]}))
    head, body = request.split(b"\r\n\r\n")
    assert head.startswith(b"POST /text/embed HTTP/1.1\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    with pytest.raises(ValueError, match="expected http"):
        Address.parse("https://example")


async def test_a_form_with_a_file_is_read_by_a_form_parser():
    from starlette.requests import Request

    address = Address("127.0.0.1", 80)
    content = bytes(range(256)) * 3
    raw = build_request(address, "POST", "/infer", Body.file("file", "a.jpg", content))
    head, body = raw.split(b"\r\n\r\n", 1)
    lines = [line.split(b": ", 1) for line in head.split(b"\r\n")[1:]]
    scope = {"type": "http", "headers": [(name.lower(), value) for name, value in lines]}

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async with Request(scope, receive).form() as form:
        assert form["file"].filename == "a.jpg"
        assert await form["file"].read() == content
