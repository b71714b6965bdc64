"""Addresses, sums of statistics, and the settings of several Tritons."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.health.loading import Leadership
from gateway.health.processes import ModelProcesses
from gateway.settings import ConfigError, Settings
from gateway.settings.loader import load_settings
from gateway.settings.triton import TritonSettings
from gateway.triton import members as lookups
from gateway.triton.members import resolve
from gateway.triton.pool import added
from tests.support.waiting import PATIENCE


async def test_a_name_gives_all_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(host: str, port: int, **_: Any) -> list[Any]:
        if host == "nowhere":
            raise socket.gaierror
        return [(0, 0, 0, "", (one, port)) for one in ("10.0.0.2", "10.0.0.1", "10.0.0.2", "::1")]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    addresses = ["10.0.0.1:8001", "10.0.0.2:8001", "[::1]:8001"]
    assert await resolve(["dns:///tritons:8001"]) == (addresses, True)
    assert await resolve(["b:1", "a:1", "b:1"]) == (["b:1", "a:1"], True)
    assert await resolve(["dns:///nowhere:1", "a:1"]) == (["a:1"], False)


async def test_a_silent_name_server_or_an_impossible_name_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = threading.Event()

    def silent(*_: Any, **__: Any) -> list[Any]:
        answers.wait(PATIENCE)
        return []

    assert await resolve([f"dns:///{'a' * 64}.example:1"]) == ([], False)
    monkeypatch.setattr(lookups, "LOOKUP_SECONDS", 0.01)
    monkeypatch.setattr(socket, "getaddrinfo", silent)
    try:
        for _ in range(12):  # more than the loop has threads on a small machine
            assert await resolve(["dns:///tritons:1", "a:1"]) == (["a:1"], False)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), PATIENCE / 4) == "done"
    finally:
        answers.set()


async def test_localhost_is_found() -> None:
    found, complete = await resolve(["dns:///localhost:9"])
    assert "127.0.0.1:9" in found
    assert complete


counters = st.integers(0, 2**40)


@given(one=st.tuples(counters, counters), other=st.tuples(counters, counters))
def test_counters_are_summed_and_the_latest_time_counts(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    def server(count: int, last: int) -> list[dict[str, Any]]:
        success = {"count": str(count), "ns": str(2 * count)}
        batches = [{"batch_size": "4", "compute_infer": {"count": str(count)}}]
        return [
            {
                "name": "m", "version": "1", "last_inference": str(last),
                "inference_stats": {"success": success}, "batch_stats": batches,
            }
        ]  # fmt: skip

    (total,) = added([server(*one), server(*other)])
    assert total["inference_stats"]["success"]["count"] == str(one[0] + other[0])
    assert total["inference_stats"]["success"]["ns"] == str(2 * (one[0] + other[0]))
    assert total["last_inference"] == str(max(one[1], other[1]))
    (batch,) = total["batch_stats"]
    assert batch["batch_size"] == "4"
    assert batch["compute_infer"]["count"] == str(one[0] + other[0])


def test_memory_is_summed_by_where_it_is() -> None:
    def server(*sizes: int) -> list[dict[str, Any]]:
        kinds = [("GPU", "0"), ("GPU", "1"), ("CPU", "0")]
        usage = [
            {"type": kind, "id": number, "byte_size": str(size)}
            for (kind, number), size in zip(kinds, sizes, strict=False)
        ]
        return [{"name": "m", "version": "1", "memory_usage": usage}]

    (total,) = added([server(1, 2), server(10, 20, 30)])
    assert [one["byte_size"] for one in total["memory_usage"]] == ["11", "22", "30"]
    assert total["memory_usage"][1]["id"] == "1"


def test_models_of_one_server_alone_stay() -> None:
    found = added([[{"name": "a", "version": "1"}], [{"name": "b", "version": "1"}], []])
    assert [model["name"] for model in found] == ["a", "b"]


@pytest.mark.parametrize("url", ["triton", "a:1,", "a:1,,b:1", "a:x", "dns:///a"])
def test_an_address_without_a_port_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is not host:port"):
        TritonSettings(url=url, start=False)


def test_several_servers_are_started_by_somebody_else() -> None:
    with pytest.raises(ValueError, match="several Tritons"):
        TritonSettings(url="a:1,b:1")
    assert TritonSettings(url="a:1 , b:1", start=False).urls == ("a:1", "b:1")
    assert not TritonSettings(url="a:1").several
    assert TritonSettings(url=" dns:///a:1", start=False).several
    assert TritonSettings(metrics_url="http://a , http://b").metrics_urls == (
        "http://a",
        "http://b",
    )
    assert TritonSettings(metrics_url=None).metrics_urls == ()


def test_several_servers_have_no_processes_to_look_at() -> None:
    assert ModelProcesses("127.0.0.1:8001,127.0.0.1:8011").missing(["text_embedding"]) == []
    assert ModelProcesses("dns:///localhost:8001").missing(["text_embedding"]) == []


def test_lipsync_wants_one_triton() -> None:
    triton = TritonSettings(url="a:1,b:1", start=False)
    with pytest.raises(ValueError, match="one Triton with lipsync"):
        Settings(services=["lipsync"], triton=triton)
    assert Settings(services=["text"], triton=triton).triton.several


def test_the_admin_key_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("secret-of-the-file\n")
    assert TritonSettings(admin_key_file=file).read_admin_key() == "secret-of-the-file"
    assert TritonSettings(admin_key_file=file, admin_key="own").read_admin_key() == "own"
    assert TritonSettings().read_admin_key() == ""
    variables = {"PENTAD_TRITON__ADMIN_KEY_FILE": str(file)}
    with pytest.raises(OSError, match="No such file"):
        TritonSettings(admin_key_file=tmp_path / "none").read_admin_key()
    with pytest.raises(ConfigError):
        load_settings(tmp_path / "none.yaml", variables)


def test_a_gateway_without_control_never_leads(tmp_path: Path) -> None:
    follower = Leadership(tmp_path / "lock", candidate=False)
    assert not follower.held()
    leader = Leadership(tmp_path / "lock")
    assert leader.held()
    follower.release()
    leader.release()
    assert not leader.held(), "its file is closed"
