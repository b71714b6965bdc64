"""Bodies that cost a careless server far more than they cost who sends them."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

from tests.support.api_document import body_schemas
from tests.support.gateway_process import GatewayProcess

JSON = {"Content-Type": "application/json"}
BOUNDARY = b"b"
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
FILE = b'Content-Disposition: form-data; name="%s"; filename="a"\r\n\r\n'
TEXT = b'Content-Disposition: form-data; name="%s"\r\n\r\n'

ANSWER = 16 * 2**10
STALL = 0.5  # seconds; much less where nobody else needs the machine
CPU = 0.5  # seconds of CPU time that a body costs at most
HOLD = 0.1  # seconds of CPU time that others wait for the loop at most

Hostile = tuple[str, bytes, dict[str, str]]
"""What it is, the body and its headers."""


def routes(gateway: GatewayProcess) -> list[tuple[str, str, dict[str, Any]]]:
    """Return method, path and schemas by media type of every route that takes a body."""
    document = json.loads(gateway.ask("GET", "/openapi.json")[1])
    return [
        (
            method.upper(),
            path.replace("{tenant}", "tenant-00"),
            body_schemas(document, operation),
        )
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "requestBody" in operation
    ]


def check_cost(gateway: GatewayProcess, method: str, path: str, hostile: Hostile) -> None:
    """Send a body and assert that status, answer, memory, time and other clients are well."""
    name, body, headers = hostile
    rested = gateway.rested
    found = gateway.cost(method, path, body, headers)
    assert found.peak - rested <= 4 * len(body) + 64 * 2**20, (path, name, found)
    # The machine may have been busy with others; and the first large body also pays for pages
    # that the kernel zeroes.
    if found.stall > STALL or found.cpu > CPU:
        found = gateway.cost(method, path, body, headers)
    case = f"{method} {path} {name}, {len(body)} bytes: {found}"
    assert 200 <= found.status < 500, case
    assert len(found.answer) <= ANSWER, case
    assert found.peak - rested <= 4 * len(body) + 64 * 2**20, case
    assert found.cpu <= CPU or found.cpu <= 2 * _parsing_seconds(body), case
    assert found.stall <= STALL, case
    assert found.hold <= HOLD, case


def _parsing_seconds(body: bytes) -> float:
    """Return how long the standard library takes for a body."""
    begin = time.process_time()
    with contextlib.suppress(ValueError, RecursionError):
        json.loads(body)
    return time.process_time() - begin


def hostile_bodies(schemas: dict[str, Any], size: int) -> Iterator[Hostile]:
    """Yield bodies of about ``size`` bytes for a route whose ``schemas`` are given."""
    if "application/json" in schemas:
        yield from _json(sorted(schemas["application/json"]["properties"]), size)
    else:
        yield from _forms(sorted(schemas["multipart/form-data"]["properties"]), size)


def _json(fields: list[str], size: int) -> Iterator[Hostile]:
    values = {
        "zeros": _filled(b"[", b"0,", b"0]", size),
        "objects": _filled(b"[", b"{},", b"{}]", size),
        "lists": _filled(b"[", b"[],", b"[]]", size),
        "words": _filled(b"[", b'"",', b'""]', size),
        "pairs": _filled(b"[", b'{"a":0,"b":[1]},', b"0]", size),
        "object": b'{"k":' + _filled(b"0", b',"k":0', b"}", size),
        "wide": '"😀'.encode() + b"a" * size + b'"',
        "text": b'"' + b"a" * size + b'"',
        "escapes": _filled(b'"', rb"\"\\", b'"', size),
        "digits": b"1" * size,
        "fraction": b"0." + b"1" * size,
    }
    # Each kind in one of the fields: all in all of them would take minutes.
    bodies = {
        f"{field}: {name}": b'{"%s":%s}' % (field.encode(), value)
        for field, (name, value) in zip(itertools.cycle(fields), values.items(), strict=False)
    }
    bodies |= {
        "nothing but zeros": values["zeros"],
        "unknown keys": b"{" + b",".join(b'"%d":0' % n for n in range(size // 10)) + b"}",
        "one key again and again": b'{"a":0' + b',"a":0' * (size // 6) + b"}",
        "nested lists": b"[" * size,
        "nested objects": _filled(b"", b'{"a":', b"", size),
        "blanks": b" " * size + b"{}",
        "quotes": b'"' * size,
        "commas": b"," * size,
        "zero bytes": bytes(size),
        "utf-16": ("[" + "0," * (size // 4) + "0]").encode("utf-16"),
        "no JSON": bytes(range(256)) * (size // 256),
    }
    for name, body in bodies.items():
        yield name, body, JSON


def _forms(fields: list[str], size: int) -> Iterator[Hostile]:
    names = [field.encode() for field in fields] or [b"file"]
    part = b"--b\r\n" + TEXT % names[0] + b"x\r\n"
    bodies = {
        "parts": part * (size // len(part)) + b"--b--\r\n",
        "files": (b"--b\r\n" + FILE % names[-1] + b"\r\n") * (size // 80) + b"--b--\r\n",
        "one text": b"--b\r\n" + TEXT % names[0] + b"x" * size + b"\r\n--b--\r\n",
        "header": b"--b\r\nX: " + b"x" * size + b"\r\n\r\n\r\n--b--\r\n",
        "header name": b"--b\r\n" + b"x" * size + b": y\r\n\r\n\r\n--b--\r\n",
        "headers": b"--b\r\n" + b"X: y\r\n" * (size // 6) + b"\r\n\r\n--b--\r\n",
        "name": b"--b\r\n" + TEXT % (b"n" * 3000) + b"x\r\n--b--\r\n" + b" " * size,
        "nearly boundaries": b"--b\r\n" + FILE % names[0] + b"\r\n--c" * (size // 5),
        "line ends": b"--b\r\n" + FILE % names[0] + b"\r\n" * (size // 2),
        "preamble": b"\r\n" * (size // 2),
        "no end": b"--b\r\n" + FILE % names[0] + b"x" * size,
    }
    for name, body in bodies.items():
        yield name, body, FORM
    for name in names:
        text = json.dumps({"k" + str(n): 0 for n in range(4000)}).encode()
        yield "a JSON text", b"--b\r\n" + TEXT % name + text + b"\r\n--b--\r\n", FORM
    odd = {"Content-Type": "multipart/form-data; boundary=" + "b" * 5000}
    yield "long boundary", b"--" + b"b" * 5000 + b"\r\n", odd
    yield "no boundary", b"--b\r\n", {"Content-Type": "multipart/form-data"}
    for charset in ("rot13", "base64", "idna", "\x01"):
        odd = {"Content-Type": f"multipart/form-data; charset={charset}; boundary=b"}
        yield "charset", b"--b\r\n" + FILE % names[0] + b"x\r\n--b--\r\n", odd
    urlencoded = {"Content-Type": "application/x-www-form-urlencoded"}
    yield "urlencoded", b"a=1&" * (size // 4), urlencoded


def large_bodies(path: str, size: int) -> Iterator[Hostile]:
    """Yield bodies of about ``size`` bytes that hold what a service's clients send."""
    if path == "/iot/vectorizer":
        for count in (1, 8):
            data = b"A" * ((size // count - 2**10) // 4 * 4)
            pictures = b",".join([b'{"data":"%s"}' % data] * count)
            yield f"{count} pictures", b'{"employee_id":"e","images":[%s]}' % pictures, JSON
        lines = (b"A" * 76 + rb"\n") * ((size - 2**10) // 78)
        one = b'{"employee_id":"e","images":[{"data":"%s"}]}'
        yield "a picture in lines", one % lines, JSON
        yield "a picture with a blank", one % (b"A" * (size - 2**10) + b" A"), JSON
        for length in (2**11, 7 * 2**10, 4 * 2**20 - 10):
            words = b",".join([b'"%s"' % (b"A" * length)] * min(9_000, size // (length + 4)))
            yield f"strings of {length}", b'{"employee_id":"e","images":[],"a":[%s]}' % words, JSON
    elif path == "/iot/emotions":
        clip = b'{"event_id":"e","video_clip":"%s"}'
        yield "a clip that is too large", clip % (b"A" * (size // 4 * 4 - 2**10)), JSON
        yield "a clip", clip % (b"A" * (40 * 2**20)), JSON
        yield "a clip in lines", clip % ((b"A" * 76 + rb"\n") * (40 * 2**20 // 78)), JSON
    elif path == "/text/embed":
        texts = b",".join([b'"%s"' % (b"word " * 2000)] * (size // 10_010))
        yield "texts", b'{"texts":[%s]}' % texts, JSON
    else:
        fields = {"/vision/infer": [b"file"]}.get(path, [b"masked_user_image", b"garment_image"])
        data = bytes(range(256)) * ((size - 2**10) // 256 // len(fields))
        parts = [b"--b\r\n" + FILE % name + data + b"\r\n" for name in fields]
        yield "files", b"".join(parts) + b"--b--\r\n", FORM


def _filled(start: bytes, middle: bytes, end: bytes, size: int) -> bytes:
    return start + middle * (size // len(middle)) + end
