"""Triton's own GPU figures: read over real HTTP, from the text that Triton writes."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.gpu import GpuSample, Reading, SourceLostError
from gateway.telemetry.gpu import triton as module
from gateway.telemetry.gpu.triton import FORGET_SECONDS, TritonSource, figures, texts
from tests.support.triton_metrics import TEXT, A, B, Endpoint

NOW = 1_700_000_000.5
WHOLE = GpuSample(37, None, 1024, 81920, pytest.approx(123.456), 400, None, NOW)  # type: ignore[arg-type]
PARTIAL = GpuSample(0, None, None, None, 11, None, None, NOW)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.server.shutdown()
    made.server.server_close()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def source(*urls: str, monotonic: Clock | None = None) -> TritonSource:
    return TritonSource(urls, clock=lambda: NOW, monotonic=monotonic or Clock())


def test_every_figure_in_its_unit_and_null_where_there_is_none(endpoint: Endpoint) -> None:
    assert source(endpoint.url).read() == [
        Reading("GPU-0a0b0c0d", B, PARTIAL),
        Reading("GPU-1f2e3d4c", A, WHOLE),
    ]


def test_numbers_do_not_depend_on_the_order_of_the_text() -> None:
    turned = "\n".join(reversed([line for line in TEXT.splitlines() if line[0] != "#"]))
    assert sorted(figures(turned).items()) == sorted(figures(TEXT).items())


@pytest.mark.parametrize("text", ["", "nv_cpu_utilization 0.02\n", "<html>nv_gpu_</html>", None])
def test_a_triton_without_gpus_is_no_source(endpoint: Endpoint, text: str | None) -> None:
    endpoint.text = text
    with pytest.raises(SourceLostError):
        source(endpoint.url).read()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/metrics",
        "file:///etc/hostname",
        "http:///metrics",
        "http://no.invalid/m",
    ],
)
def test_what_does_not_answer_is_left_out(endpoint: Endpoint, url: str) -> None:
    assert len(source(url, endpoint.url).read()) == 2
    with pytest.raises(SourceLostError):
        source(url).read()


def test_a_proxy_of_the_environment_is_not_asked(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert len(source(endpoint.url).read()) == 2


def test_all_tritons_of_a_name_are_read(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of Kubernetes' headless services; the port is one, the addresses are several."""
    other = Endpoint("127.0.0.2", endpoint.port)
    other.text = f'nv_gpu_utilization{{gpu_uuid="{A}"}} 0.5\n'
    endpoint.text = TEXT.replace(A, "GPU-ffffffff-other")
    real = socket.getaddrinfo

    def lookup(host: str, port: int, *more: object, **named: object) -> object:
        if host != "tritons.svc":
            return real(host, port, *more, **named)  # type: ignore[arg-type]
        addresses = ("127.0.0.2", "127.0.0.1", "127.0.0.1")
        return [(socket.AF_INET, 1, 6, "", (one, port)) for one in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    try:
        found = source(f"http://tritons.svc:{endpoint.port}/metrics").read()
    finally:
        other.server.shutdown()
        other.server.server_close()
    assert [one.identity for one in found] == [B, A, "GPU-ffffffff-other"]
    assert endpoint.hosts == other.hosts == [f"tritons.svc:{endpoint.port}"]


def test_a_gpu_that_leaves_keeps_its_number_for_a_while(endpoint: Endpoint) -> None:
    clock = Clock()
    tested = source(endpoint.url, monotonic=clock)
    tested.read()
    endpoint.text = TEXT.replace(B, "GPU-00000000-new")
    clock.now = FORGET_SECONDS - 1
    left, stays, new = tested.read()
    assert (left.identity, left.sample) == (B, None)
    assert (stays.identity, stays.sample) == (A, WHOLE)
    assert new.identity == "GPU-00000000-new"
    clock.now = FORGET_SECONDS
    assert [one.identity for one in tested.read()] == [A, "GPU-00000000-new"]


def test_a_card_of_nothing_but_zeros_cannot_be_read(endpoint: Endpoint) -> None:
    """So Triton writes every figure that its DCGM has no longer got."""
    lines = [line.rsplit(" ", 1)[0] + " 0" if A in line else line for line in TEXT.splitlines()]
    endpoint.text = "\n".join(lines) + "\n"
    assert source(endpoint.url).read() == [
        Reading("GPU-0a0b0c0d", B, PARTIAL),
        Reading("GPU-1f2e3d4c", A, None),
    ]


def test_a_triton_that_comes_back_is_read_again(endpoint: Endpoint) -> None:
    tested = source(endpoint.url)
    tested.read()
    endpoint.text = None
    with pytest.raises(SourceLostError):
        tested.read()
    endpoint.text = TEXT
    assert [one.sample for one in tested.read()] == [PARTIAL, WHOLE]


def test_an_endless_answer_is_cut(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", len(TEXT))
    endpoint.text = TEXT + "nv_gpu_x 1\n" * 1000
    (text,) = texts([endpoint.url])
    assert text == TEXT


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    figures(text)
    figures(f'nv_gpu_utilization{{gpu_uuid="{text}"}} NaN\n{text}')


@pytest.mark.parametrize("value", ["NaN", "+Inf"])
def test_no_number_is_null(value: str) -> None:
    text = f'nv_gpu_utilization{{gpu_uuid="a"}} {value}\nnv_gpu_power_usage{{gpu_uuid="a"}} 1\n'
    assert figures(text)["a"]["gpu_util"] is None
