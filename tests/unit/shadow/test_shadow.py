"""`python -m tests.shadow` against two servers in this process, and its comparison alone."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.shadow.__main__ import main
from tests.shadow.compare import Difference, Rules, differences
from tests.shadow.requests import SERVICES, samples

Answer = tuple[int, str, bytes]


@contextmanager
def server(answer: Callable[[str, str, dict[str, str], bytes], Answer]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, kind, content = answer(self.command, self.path, dict(self.headers), body)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}"
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


def fixed(content: Any, status: int = 200) -> Callable[..., Answer]:
    return lambda *_: (status, "application/json", json.dumps(content).encode())


def compared(old: Any, new: Any, **rules: Any) -> list[Difference]:
    answers = [httpx.Response(200, json=one) for one in (old, new)]
    return differences(answers[0], answers[1], Rules(**rules))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@settings(max_examples=40)
@given(json_values)
def test_an_answer_equals_itself(value: Any) -> None:
    assert compared(value, value) == []


@settings(max_examples=40)
@given(st.dictionaries(st.text(min_size=1, max_size=5), json_values, min_size=1), json_values)
def test_a_further_field_is_welcome_and_a_missing_one_is_not(
    answer: dict[str, Any], further: Any
) -> None:
    assert compared(answer, {**answer, "further field": further}) == []
    lacking = dict(list(answer.items())[1:])
    assert [one.kind for one in compared(answer, lacking)] == ["shape"]


@pytest.mark.parametrize(
    ("old", "new", "kind", "path"),
    [
        ({"a": 1}, {"a": "1"}, "shape", "a"),
        ({"a": True}, {"a": 1}, "shape", "a"),
        ({"a": [1, 2]}, {"a": [1]}, "shape", "a"),
        ({"a": [{"b": "x"}]}, {"a": [{"b": "y"}]}, "value", "a[0].b"),
        ({"a": 1.0}, {"a": 1.1}, "value", "a"),
        ({"a": None}, {"a": {}}, "shape", "a"),
    ],
)
def test_kinds_of_differences(old: Any, new: Any, kind: str, path: str) -> None:
    assert [(one.kind, one.path) for one in compared(old, new)] == [(kind, path)]


def test_close_numbers_and_volatile_fields_are_equal() -> None:
    assert compared({"f1": 0.8}, {"f1": 0.80001}) == []
    assert compared({"f1": 0.8}, {"f1": 0.81}, absolute=0.1) == []
    assert compared({"latency_ms": 5}, {"latency_ms": 90}) == []
    assert compared({"latency_ms": 5}, {"latency_ms": "5"})[0].kind == "shape"
    assert compared({"a": [{"model": "x"}]}, {"a": [{"model": "y"}]}, ignored=("a.model",)) == []


def test_vectors_are_one_line_with_their_cosine() -> None:
    (found,) = compared({"embeddings": [[1.0, 0.0]]}, {"embeddings": [[0.0, 1.0]]})
    assert found.path == "embeddings[0]"
    assert "cosine 0.000000" in found.words

    def packed(vector: np.ndarray) -> str:
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()

    one = np.linspace(-1, 1, 512)
    assert compared({"v": packed(one)}, {"v": packed(one + 1e-6)}) == []
    (found,) = compared({"v": packed(one)}, {"v": packed(-one)})
    assert "cosine -1.000000" in found.words
    (found,) = compared({"v": packed(one)}, {"v": packed(one[:256])})
    assert (found.kind, found.words) == ("shape", "vector of 512 became 256")


@pytest.mark.parametrize("service", SERVICES)
def test_two_equal_servers_agree_on_every_sample(
    service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def echo(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        return 200, "application/json", json.dumps({"path": path, "got": len(body) > 0}).encode()

    with server(echo) as old, server(echo) as new:
        assert main([old, new, "--service", service]) == 0
    out = capsys.readouterr().out
    count = len(samples(service))
    assert out.count("same ") == count
    assert f"{count} requests: 0 differ in shape, 0 only in values" in out


@pytest.mark.parametrize(
    ("new", "values", "status"),
    [
        (fixed({"status": "ok"}), False, 0),
        (fixed({"status": "fine"}), False, 0),
        (fixed({"status": "fine"}), True, 1),
        (fixed({"state": "ok"}), False, 1),
        (fixed({"status": "ok"}, 500), False, 1),
        (lambda *_: (200, "text/plain", b"ok"), False, 1),
        (lambda *_: (200, "application/json", b""), False, 1),
    ],
)
def test_the_exit_status(new: Callable[..., Answer], values: bool, status: int) -> None:
    with server(fixed({"status": "ok"})) as old, server(new) as other:
        more = ["--values"] if values else []
        assert main([old, other, "--service", "tryon", *more]) == status


def test_recorded_requests_and_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "picture.bin").write_bytes(b"pixels-of-the-picture")
    lines = [
        {"method": "POST", "path": "/embed?x=1", "json": {"texts": ["a"]}},
        {"method": "POST", "path": "/infer", "form": {"seed": "3"}, "files": {"f": "picture.bin"}},
    ]
    file = tmp_path / "recorded.jsonl"
    file.write_text("\n\n".join(map(json.dumps, lines)))
    seen: list[tuple[str, str, bytes]] = []

    def note(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        keys = {name.lower(): value for name, value in headers.items()}
        seen.append((path, keys.get("x-internal-auth", ""), body))
        return 200, "application/json", b"{}"

    monkeypatch.setenv("SHADOW_NEW_KEY", "key-of-the-new-server")
    with server(note) as old, server(note) as new:
        given = [old, new, "--requests", str(file), "--header", "X-Internal-Auth"]
        assert main(given) == 0
    assert [(path, key) for path, key, _ in seen] == [
        ("/embed?x=1", ""), ("/embed?x=1", "key-of-the-new-server"),
        ("/infer", ""), ("/infer", "key-of-the-new-server"),
    ]  # fmt: skip
    assert json.loads(seen[0][2]) == {"texts": ["a"]}
    assert b"pixels-of-the-picture" in seen[3][2]
    assert b'name="seed"' in seen[3][2]
    assert "key-of-the-new-server" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"path": "/a"}', '{"method": "GET", "path": "/", "files": {"a": "none"}}']
)
def test_a_bad_recording_names_its_line(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "recorded.jsonl"
    file.write_text(f'{{"method": "GET", "path": "/health"}}\n{line}\n')
    assert main(["http://127.0.0.1:1", "http://127.0.0.1:1", "--requests", str(file)]) == 2
    assert "recorded.jsonl:2: " in capsys.readouterr().err


@pytest.mark.parametrize("name", ["tryon", "vton"])
def test_a_server_that_is_away_is_a_difference(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with server(fixed({})) as old:
        assert main([old, "http://127.0.0.1:1", "--service", name]) == 1
    assert "does not answer (ConnectError)" in capsys.readouterr().out
