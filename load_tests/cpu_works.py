"""What `cpu_per_request` asks of each service: calls that clients repeat without a pause."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from export.lipsync.demo import write_tenants
from load_tests import pictures, portraits, workload
from load_tests.client import Address, Body, fetch
from load_tests.lipsync.gateway_client import Client
from load_tests.lipsync.sections import audio, frames
from load_tests.mixed import OK, HttpCall

DEADLINE = 120.0
"""Seconds that a client grants a call; nothing is to be lost in these measurements."""
NARROW = 0.125
"""Width of the lip-sync tenant: an eighth of the documented network's channels, so that frames
are many and what hands them on is busy, as it is beside a GPU."""
APART = 7
"""Bodies between the first ones of two clients."""

Ask = Callable[[], Awaitable[str]]
"""Sends one call; returns what it came to, `ok` as in load_tests.mixed."""


@dataclass(frozen=True)
class Stack:
    """A running Pentad.

    Attributes:
        main: its main port.
        mouths: host:port of lip-sync; empty without it.
        tenant: lip-sync tenant to ask.
        cache: downloads of the pictures.
    """

    main: Address
    mouths: str
    tenant: str
    cache: Path


@dataclass(frozen=True)
class Work:
    """One kind of call.

    Attributes:
        name: in the table.
        service: whose it is.
        clients: that call at once.
        unit: what an item is called.
        items: in one call.
        asks: makes one client's call.
    """

    name: str
    service: str
    clients: int
    unit: str
    items: int
    asks: Callable[[Stack], Ask]


async def stack(main: Address, cache: Path) -> Stack:
    """Return a running Pentad by what it says of itself."""
    report = json.loads((await fetch(main, "/readyz")).body)["services"]
    urls = [urlsplit(url) for service in report.values() for url in service["urls"]]
    mouths = next((url.netloc for url in urls if url.scheme == "grpc"), "")
    tenant = ""
    if mouths:
        rows = json.loads((await fetch(main, "/lipsync/tenants")).body)["tenants"]
        tenant = str(rows[0]["id"])
    return Stack(main, mouths, tenant, cache)


def narrow_tenant(folder: Path) -> dict[str, str]:
    """Write a tenant; returns the variables of a Pentad that serves it."""
    write_tenants(folder, 1, width=NARROW)
    return {"PENTAD_LIPSYNC__WATCH_FOLDER": str(folder)}


def _posts(path: str, bodies: Callable[[Stack], list[Body]]) -> Callable[[Stack], Ask]:
    places = itertools.count(step=APART)
    return lambda found: HttpCall(found.main, path, bodies(found), DEADLINE, next(places))


def _json(field: str, requests: list[list[str]]) -> list[Body]:
    return [Body.json({field: texts}) for texts in requests]


def _pairs(_: Stack) -> list[Body]:
    pairs = workload.pairs(16, repeated=False)
    return [Body.json({"candidates": left, "references": right}) for left, right in pairs]


def _pictures(stack: Stack) -> list[Body]:
    return [
        Body.file("file", "picture.jpg", picture) for picture in pictures.jpegs(64, stack.cache)
    ]


def _enrollments(_: Stack) -> list[Body]:
    return [
        Body.json(
            {
                "employee_id": "load-test",
                "images": _images(dict(zip(portraits.POSES, enrollment, strict=True))),
            }
        )
        for enrollment in portraits.enrollments(4)
    ]


def _images(files: dict[str, bytes]) -> list[dict[str, str]]:
    return [{"pose": pose, "data": base64.b64encode(file).decode()} for pose, file in files.items()]


def _dressings(found: Stack) -> list[Body]:
    from tests.support.tryon_pictures import garment, jpeg, upper

    person, worn = jpeg(upper(1)), jpeg(garment("shirts", 1))
    fields = {"masked_user_image": ("a.jpg", person), "garment_image": ("b.jpg", worn)}
    return [Body.files(fields)]


def _mouths(batch: int, kind: str) -> Callable[[Stack], Ask]:
    def make(found: Stack) -> Ask:
        given = frames(batch)
        if kind == "uint8":
            given = (given[:, :3] * 255).astype(np.uint8)
        client = Client(found.mouths, given, audio())

        async def ask() -> str:
            await asyncio.to_thread(client.ask, found.tenant)
            return OK

        return ask

    return make


def _mouth_work(batch: int, kind: str, channels: int) -> Work:
    name = f"lip-sync, {kind}, {channels} channels, batch {batch}"
    return Work(name, "lipsync", 4, "frame", batch, _mouths(batch, kind))


_SHORT = _posts("/text/embed", lambda _: _json("texts", workload.embed_short(256)))
_MIXED = _posts("/text/embed", lambda _: _json("texts", workload.embed_mixed(16)))
_SCORES = _posts("/text/bertscore", _pairs)

WORKS = (
    Work("embed, one short text", "text", 1, "request", 1, _SHORT),
    Work("embed, one short text", "text", 32, "request", 1, _SHORT),
    Work("embed, 100 mixed texts", "text", 4, "text", workload.TEXTS, _MIXED),
    Work("bertscore, 100 pairs", "text", 4, "pair", workload.PAIRS, _SCORES),
    Work("classify, 640 x 480", "vision", 1, "request", 1, _posts("/vision/infer", _pictures)),
    Work("classify, 640 x 480", "vision", 16, "request", 1, _posts("/vision/infer", _pictures)),
    Work("enroll, 5 poses", "iot", 1, "request", 1, _posts("/iot/vectorizer", _enrollments)),
    Work("enroll, 5 poses", "iot", 4, "request", 1, _posts("/iot/vectorizer", _enrollments)),
    Work("try-on, warp", "tryon", 1, "request", 1, _posts("/vton/infer", _dressings)),
    _mouth_work(1, "uint8", 3),
    _mouth_work(8, "uint8", 3),
    _mouth_work(25, "uint8", 3),
    _mouth_work(25, "float32", 6),
)  # fmt: skip
