"""`python -m tests.shadow OLD NEW`: sends the same requests to both servers and compares.

    .venv/bin/python -m tests.shadow http://old:8765 http://new:8765 --service text
    .venv/bin/python -m tests.shadow http://old:8090 http://new:8090 --requests recorded.jsonl
    .venv/bin/python -m tests.shadow old:50051 new:50051 --service lipsync --dialect 2

Keys are read from SHADOW_OLD_KEY and SHADOW_NEW_KEY and sent in --header. The exit status is 0 when
no shape differs, 1 when one does (with --values also when a value does), 2 for a wrong call.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import httpx

from tests.shadow import lipsync
from tests.shadow.compare import Difference, Rules, differences, tell
from tests.shadow.requests import (
    FORMER_NAMES,
    SERVICES,
    BadRecordingError,
    Request,
    recorded,
    samples,
)

KEYS = ("SHADOW_OLD_KEY", "SHADOW_NEW_KEY")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        requests = list(
            recorded(options.requests) if options.requests else samples(options.service)
        )
    except (BadRecordingError, OSError) as error:
        print(f"shadow: {error}", file=sys.stderr)
        return 2
    rules = Rules(options.absolute, options.relative, tuple(options.ignore))
    if options.service == lipsync.SERVICE:
        keys = [_headers(variable, options) for variable in KEYS]
        servers = zip((options.old, options.new), keys, strict=True)
        shapes, values, count = lipsync.replay(*servers, options.dialect, rules)
        return _verdict(count, shapes, values, options)
    with (
        _client(options.old, KEYS[0], options) as old,
        _client(options.new, KEYS[1], options) as new,
    ):
        shapes, values = replay(requests, old, new, rules)
    return _verdict(len(requests), shapes, values, options)


def _verdict(count: int, shapes: int, values: int, options: argparse.Namespace) -> int:
    print(f"{count} requests: {shapes} differ in shape, {values} only in values")
    return int(bool(shapes) or (options.values and bool(values)))


def replay(
    requests: Iterable[Request], old: httpx.Client, new: httpx.Client, rules: Rules
) -> tuple[int, int]:
    """Send every request to both, print what differs, and count.

    Returns:
        Requests whose shape differs, and requests of which only values do.
    """
    outcomes = [tell(str(request), _one(request, old, new, rules)) for request in requests]
    return outcomes.count("SHAPE"), outcomes.count("value")


def _one(request: Request, old: httpx.Client, new: httpx.Client, rules: Rules) -> list[Difference]:
    answers = []
    for client in (old, new):
        try:
            answers.append(client.request(request.method, request.path, **request.arguments()))
        except httpx.HTTPError as error:
            words = f"{client.base_url} does not answer ({type(error).__name__})"
            return [Difference("shape", "", words)]
    return differences(answers[0], answers[1], rules)


def _client(url: str, variable: str, options: argparse.Namespace) -> httpx.Client:
    return httpx.Client(base_url=url, headers=_headers(variable, options), timeout=options.timeout)


def _headers(variable: str, options: argparse.Namespace) -> dict[str, str]:
    key = os.environ.get(variable)
    return {options.header: key} if key else {}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.shadow",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("old", help="address of the old server")
    parser.add_argument("new", help="address of Pentad's port for that server")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--service",
        type=lambda name: FORMER_NAMES.get(name, name),
        choices=(*SERVICES, lipsync.SERVICE),
        help="send samples of this service",
    )
    source.add_argument("--requests", type=Path, help="send recorded requests, one JSON a line")
    parser.add_argument("--dialect", type=int, choices=(1, 2), default=2, help="of lipsync")
    parser.add_argument("--header", default="X-API-Key", help="header of the keys (%(default)s)")
    parser.add_argument("--absolute", type=float, default=Rules.absolute)
    parser.add_argument("--relative", type=float, default=Rules.relative)
    parser.add_argument("--ignore", nargs="+", default=[], metavar="FIELD")
    parser.add_argument("--values", action="store_true", help="values must agree too")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds per request")
    return parser


if __name__ == "__main__":
    sys.exit(main())
