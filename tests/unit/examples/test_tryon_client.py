"""The receiver of the try-on example: signatures, repeated events, pictures."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from http.server import ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

FILE = Path(__file__).parents[3] / "examples" / "tryon_client.py"
SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two characters").decode()
NOW = 1_800_000_000


def _module() -> ModuleType:
    spec = spec_from_file_location("tryon_client", FILE)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EXAMPLE = _module()


def signed(body: str, event: str = "job-1.asset_service", at: float = NOW) -> dict[str, str]:
    """Headers as the reference implementation makes them."""
    moment = datetime.fromtimestamp(at, tz=timezone.utc)
    return {
        "Webhook-Id": event,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": Webhook(SECRET).sign(event, moment, body),
    }


@given(st.text(), st.from_regex(r"[\w.-]{1,40}", fullmatch=True))
def test_accepts_what_the_reference_signs(body: str, event: str) -> None:
    assert EXAMPLE.verified(SECRET, signed(body, event), body.encode(), NOW + 299)


def test_one_of_several_signatures_is_enough() -> None:
    headers = signed("x")
    headers["webhook-signature"] = "v1,b2xk " + headers["webhook-signature"]
    assert EXAMPLE.verified(SECRET, headers, b"x", NOW)


@pytest.mark.parametrize(
    ("change", "body", "now"),
    [
        ({}, b"y", NOW),
        ({}, b"x", NOW + 301),
        ({}, b"x", NOW - 301),
        ({"Webhook-Id": "another"}, b"x", NOW),
        ({"webhook-timestamp": str(NOW + 1)}, b"x", NOW),
        ({"webhook-timestamp": "²"}, b"x", NOW),
        ({"webhook-signature": ""}, b"x", NOW),
        ({"webhook-signature": "v1,Größe"}, b"x", NOW),
    ],
)
def test_refuses_everything_else(change: dict[str, str], body: bytes, now: float) -> None:
    assert not EXAMPLE.verified(SECRET, {**signed("x"), **change}, body, now)
    assert EXAMPLE.verified(SECRET, signed("x"), b"x", NOW)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[str]:
    class Receiver(EXAMPLE.Receiver):  # type: ignore[misc]
        secret = SECRET
        folder = tmp_path
        seen: set[str] = set()

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_keeps_a_picture_once(
    receiver: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = "any text stands for a picture: \r\n--x"
    request = httpx.Request(
        "POST",
        receiver + "/result",
        data={"job_id": "job-1"},
        files={"output_image": ("result.png", picture.encode(), "image/png")},
    )
    body = request.read()
    kind = {"Content-Type": request.headers["Content-Type"]}
    headers = {**kind, **signed(body.decode(), at=time.time())}
    for _ in range(2):
        answer = httpx.post(receiver + "/result", content=body, headers=headers, timeout=60)
        assert answer.status_code == 200
    (saved,) = tmp_path.iterdir()
    assert saved.read_bytes() == picture.encode()
    first, second = capsys.readouterr().out.splitlines()
    assert "job_id=job-1" in first
    assert "once more" in second
    forged = httpx.post(receiver + "/result", content=body + b" ", headers=headers, timeout=60)
    assert forged.status_code == 401


def test_takes_a_notice(receiver: str, capsys: pytest.CaptureFixture[str]) -> None:
    body = '{"node_id": "n", "job_id": "job-1", "metadata": {}}'
    headers = {"Content-Type": "application/json", **signed(body, at=time.time())}
    answer = httpx.post(receiver + "/job_complete", content=body, headers=headers, timeout=60)
    assert answer.status_code == 200
    assert 'job_id="job-1"' in capsys.readouterr().out


def test_keeps_a_picture_that_came_as_json(
    receiver: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = bytes(range(256))
    data = {"job_id": "job-1", "output_image": base64.b64encode(picture).decode()}
    body = json.dumps(
        {"type": "tryon.completed", "timestamp": "2026-01-01T00:00:00Z", "data": data}
    )
    headers = {"Content-Type": "application/json", **signed(body, at=time.time())}
    answer = httpx.post(receiver + "/result", content=body, headers=headers, timeout=60)
    assert answer.status_code == 200
    (saved,) = tmp_path.iterdir()
    assert saved.read_bytes() == picture
    assert 'job_id="job-1"' in capsys.readouterr().out
