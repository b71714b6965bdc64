"""Wrong bodies on every route that takes one: a small answer, for less than reading them costs."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

import pytest

from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.hostile_bodies import JSON, check_cost, hostile_bodies, routes

MIB = 2**20
ANSWER = 16 * 2**10


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with gateway_process(tmp_path_factory.mktemp("state")) as running:
        yield running


def test_what_wrong_bodies_cost(gateway: GatewayProcess) -> None:
    known = routes(gateway)
    assert len(known) >= 10
    for method, path, content in known:
        for name, body, headers in hostile_bodies(content, MIB - 2**16):
            check_cost(gateway, method, path, (name, body, headers))


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_what_compressed_bodies_cost(gateway: GatewayProcess, coding: str) -> None:
    packed = gzip.compress(b'{"texts": [' + b"0," * (200 * MIB), 1)
    rested = gateway.rested
    for method, path, _ in routes(gateway):
        found = gateway.cost(method, path, packed, {**JSON, "Content-Encoding": coding})
        assert found.status in (400, 413, 415, 422), (path, found)
        assert len(found.answer) <= ANSWER
        assert found.peak - rested <= 64 * MIB
        assert found.cpu < 2


def test_a_full_disk(gateway: GatewayProcess) -> None:
    """Pictures to classify are not written down; those of a job have to be, and it is told."""
    part = b'--b\r\nContent-Disposition: form-data; name="%s"; filename="a"\r\n\r\n'
    picture = bytes(4 * MIB) + b"\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    with gateway.full_disk():
        form = part % b"file" + picture + b"--b--\r\n"
        assert gateway.ask("POST", "/vision/infer", form, headers)[0] == 200
        form = part % b"masked_user_image" + picture + b"--b--\r\n"
        status, answer = gateway.ask("POST", "/vton/infer", form, headers)
    assert (status, json.loads(answer).keys()) == (503, {"detail"})
