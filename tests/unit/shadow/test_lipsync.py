"""Lip-sync's part of `python -m tests.shadow`, against two gRPC servers in this process."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
import pytest

from tests.shadow.__main__ import main
from tests.support.lipsync_protos import SERVICE, messages

BOTH = pytest.mark.parametrize("dialect", [1, 2])


@contextmanager
def server(
    dialect: int,
    tenants: tuple[str, ...] = ("a", "b"),
    *,
    scale: float = 1.0,
    frames: int = 2,
    key: str = "",
) -> Iterator[str]:
    kind = messages(dialect)

    def listed(request: Any, context: grpc.ServicerContext) -> Any:
        if key and ("x-api-key", key) not in [tuple(one) for one in context.invocation_metadata()]:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no key")
        return kind.ListModelsResponse(models=[{"model_id": name} for name in tenants])

    def mouths(request: Any, context: grpc.ServicerContext) -> Any:
        given = np.frombuffer(request.visual_frames, "<f4").reshape(-1, 6, 320, 320)
        answer = kind.InferBatchResponse(success=frames > 0)
        for one in given[:frames]:
            answer.outputs.add(data=(scale * one[:3]).astype("<f4").tobytes())
        return answer

    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            act,
            getattr(kind, f"{name}Request").FromString,
            getattr(kind, f"{name}Response").SerializeToString,
        )
        for name, act in (("ListModels", listed), ("InferBatch", mouths))
    }
    options = [("grpc.max_receive_message_length", 2**26)]
    running = grpc.server(ThreadPoolExecutor(2), options=options)
    running.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        running.stop(0).wait()


def compared(old: str, new: str, dialect: int, *more: str) -> int:
    return main([old, new, "--service", "lipsync", "--dialect", str(dialect), *more])


@BOTH
def test_equal_servers_agree(dialect: int, capsys: pytest.CaptureFixture[str]) -> None:
    with server(dialect) as old, server(dialect, ("a", "b", "c")) as new:
        assert compared(old, new, dialect) == 0
    assert "3 requests: 0 differ in shape, 0 only in values" in capsys.readouterr().out


@BOTH
def test_other_weights_differ_in_values(dialect: int, capsys: pytest.CaptureFixture[str]) -> None:
    with server(dialect) as old, server(dialect, scale=0.5) as new:
        assert compared(old, new, dialect) == 0
        assert compared(old, new, dialect, "--values") == 1
    out = capsys.readouterr().out
    assert "outputs[1]: largest difference 0.5, cosine 1.000000" in out


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tenants": ("a",)}, "b missing"),
        ({"frames": 1}, "bytes [1228800, 1228800] became [1228800]"),
        ({"frames": 0}, "True became False"),
    ],
)
def test_what_breaks_clients_is_shape(
    changes: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with server(2) as old, server(2, **changes) as new:
        assert compared(old, new, 2) == 1
    assert told in capsys.readouterr().out


def test_a_server_that_is_away_is_a_difference(capsys: pytest.CaptureFixture[str]) -> None:
    with server(2) as old:
        assert compared(old, "127.0.0.1:1", 2) == 1
    assert "UNAVAILABLE" in capsys.readouterr().out


def test_keys_are_sent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with server(2, ("a",)) as old, server(2, ("a",), key="key-of-the-new-server") as new:
        assert compared(old, new, 2) == 1
        assert "UNAUTHENTICATED" in capsys.readouterr().out
        monkeypatch.setenv("SHADOW_NEW_KEY", "key-of-the-new-server")
        assert compared(old, new, 2) == 0
