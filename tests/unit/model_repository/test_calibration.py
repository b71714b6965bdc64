"""What sizes of calls are chosen, by figures of several machines, and how they are measured."""

from __future__ import annotations

import time
from pathlib import Path

import calibration
import pytest
from calibration import Choice, Figure, Limits, Size, choose, disturbed, measure
from engine_values import CROPS, EMBEDDINGS, Calls, NetworkEngine, calls, most_calls

TEXT = Limits(Calls(16, 512, 2), Calls(64, 4096, 4), 100.0, (16, 128))
ON_GPU = Limits(Calls(64, 16_384, 4), Calls(64, 16_384, 4), 100.0, (16, 128))
PICTURES = Limits(Calls(4, 0, 2), Calls(16, 0, 4), 100.0)


def rates(found: dict[int, float], length: int = 16, *, in_flight: int = 1) -> list[Figure]:
    """Figures of calls by rows a second."""
    times = {rows: rows / rate * 1e3 for rows, rate in found.items()}
    return [Figure(Size(rows, length, in_flight), ms, ms) for rows, ms in times.items()]


def beside(size: tuple[int, int], rates_by_count: dict[int, float]) -> list[Figure]:
    """Figures of calls side by side, by rows a second of all together."""
    rows, length = size
    times = {count: count * rows / rate * 1e3 for count, rate in rates_by_count.items()}
    return [Figure(Size(rows, length, count), ms, ms) for count, ms in times.items()]


AMX = {1: 677 / 2, 8: 1820 / 2, 16: 1949 / 2, 32: 2352 / 2}  # a core; issue 18, OpenVINO bf16
MILAN = {1: 143, 4: 207, 8: 213, 16: 223, 32: 224}  # a core; ONNX Runtime fp32
MILAN_LONG = {1: 24.5, 2: 26, 4: 26, 8: 24}
CARD = {1: 500, 8: 3900, 16: 7600, 32: 13_000, 64: 21_000}


def test_amx_gains_from_more_rows() -> None:
    assert choose(rates(AMX), TEXT) == Choice(Calls(32, 512, 2), True)
    longer = Limits(Calls(8, 512, 2), TEXT.most, 100.0, TEXT.lengths)
    assert choose(rates(AMX), longer).calls.rows == 32


def test_a_flat_machine_keeps_its_rows_and_bounds_a_call() -> None:
    """512 tokens take 160 ms there: 256 are the most below 100 ms."""
    found = choose(rates(MILAN) + rates(MILAN_LONG, 128), TEXT)
    assert found.calls == Calls(16, 256, 2)


def test_a_card_is_filled() -> None:
    small = Limits(Calls(8, 512, 2), Calls(64, 16_384, 4), 100.0, (16, 128))
    long = {1: 400, 2: 790, 4: 1500, 8: 2800, 16: 4400, 32: 5300, 64: 5500, 128: 5600}
    figures = rates(CARD) + rates(long, 128) + beside((8, 16), {2: 5000, 3: 7400, 4: 8900})
    assert choose(figures, small).calls == Calls(64, 64 * 128, 4)
    assert choose(figures, ON_GPU).calls == Calls(64, 16_384, 4)


@pytest.mark.parametrize(("two", "three", "chosen"), [(400, 405, 2), (400, 430, 2), (400, 480, 3)])
def test_more_calls_in_flight_only_where_they_pay(two: int, three: int, chosen: int) -> None:
    figures = rates(MILAN) + beside((4, 16), {2: two, 3: three})
    assert choose(figures, TEXT).calls.in_flight == chosen


def test_never_fewer_calls_than_instances() -> None:
    figures = [*rates({4: 207}), *beside((4, 16), {2: 190})]
    assert choose(figures, TEXT).calls.in_flight == 2


def test_fewer_rows_where_more_cost_more() -> None:
    cached = {1: 60.0, 2: 62.0, 4: 40.0, 8: 35.0}
    assert choose(rates(cached, 1), PICTURES).calls.rows == 1
    assert choose(rates({1: 60.0, 2: 80.0, 4: 60.0}, 1), PICTURES).calls.rows == 2


def test_a_single_row_may_take_longer_than_a_call() -> None:
    slow = Limits(Calls(4, 0, 2), Calls(16, 0, 4), 10.0)
    assert choose(rates({1: 20, 2: 30, 4: 40}, 1), slow).calls.rows == 1


def test_no_figures_choose_nothing() -> None:
    assert choose([], TEXT) == Choice(TEXT.usual, True)
    one = rates({1: 100})  # there was no time for more
    assert choose(one, TEXT).calls == TEXT.usual


def test_noise_is_no_reason() -> None:
    noisy = [Figure(Size(rows, 16), ms, ms / 2) for rows, ms in ((16, 90.0), (32, 95.0))]
    assert choose(noisy, TEXT) == Choice(TEXT.usual, False)
    # A size that was disturbed seems to take longer than a larger one.
    disturbed_once = rates({1: 143, 4: 207, 8: 120, 16: 223, 32: 224})
    limits = Limits(Calls(8, 512, 2), TEXT.most, 100.0, TEXT.lengths)
    assert choose(disturbed_once, limits).calls.rows in (8, 16)


def test_medians_alone_are_no_reason_to_leave_the_usual_values() -> None:
    """Measured beside other programs: a crop each takes the same time, undisturbed."""
    taken = ((1, 11.75, 8.742), (2, 20.647, 16.091), (3, 34.446, 24.362))
    limits = Limits(Calls(3, 0, 2), Calls(16, 0, 4), 100.0)
    figures = [Figure(Size(rows), ms, fastest) for rows, ms, fastest in taken]
    assert choose(figures, limits) == Choice(limits.usual, True)


class Machine:
    """A network whose calls take what a formula says; its clock goes on with them."""

    def __init__(self, call_ms: float, token_ms: float, first_ms: float = 0.0) -> None:
        self.now = 0.0
        self.calls: list[tuple[int, int]] = []
        self._call, self._token, self._first = call_ms, token_ms, first_ms

    def __call__(self, rows: int, length: int) -> None:
        first = 0.0 if (rows, length) in self.calls else self._first
        self.calls.append((rows, length))
        self.now += (first + self._call + self._token * rows * length) / 1e3

    def clock(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("machine", "limits"),
    [
        (Machine(1, 0.28), TEXT),  # a core of Milan
        (Machine(1, 0.02, first_ms=60), TEXT),  # AMX; OpenVINO prepares a shape
        (Machine(1, 0.001, first_ms=150), ON_GPU),
        (Machine(50, 40), TEXT),  # so slow that nothing can be told
        (Machine(1, 14), PICTURES),
    ],
)
def test_measuring_keeps_its_time(machine: Machine, limits: Limits) -> None:
    figures = measure(machine, limits, 1.5, machine.clock)
    longest = max(machine._first + machine._call + machine._token * 128, 200) / 1e3
    assert machine.now < 1.5 + 6 * longest + 1.0
    sizes = [figure.size for figure in figures]
    assert len(set(sizes)) == len(sizes)
    assert all(size.rows <= limits.most.rows or size.length == 128 for size in sizes)
    assert all(size.in_flight <= limits.most.in_flight for size in sizes)


@pytest.mark.parametrize("slower", [1.0, 1.3, 1.7, 2.5])
def test_the_usual_rows_are_tried_where_there_is_no_time_for_all(slower: float) -> None:
    """As figures of two cores of Milan are: 8 rows of 16 tokens in 41 ms, 2 rows of 128 in 85."""
    machine = Machine(4 * slower, 0.31 * slower)
    figures = measure(machine, TEXT, 1.5, machine.clock)
    assert machine.now < 3.5
    rows = {one.size.rows: one for one in figures if one.size == Size(one.size.rows, 16)}
    assert 16 in rows or max(one.milliseconds for one in rows.values()) > TEXT.longest_ms
    assert min(rows) < 16
    found = choose(figures, TEXT)
    assert found.steady
    taken = found.calls.rows * 16 * 0.31 * slower + 4 * slower
    assert taken <= TEXT.longest_ms
    assert found.calls.tokens < 512


@pytest.mark.parametrize("most", [8, 48, 512])
@pytest.mark.parametrize("engine", [NetworkEngine(), NetworkEngine(True, 2, 32)])
def test_no_call_is_measured_that_a_network_would_not_take(
    most: int, engine: NetworkEngine
) -> None:
    """A checkpoint may know few places: with more tokens than that, or more rows, a call fails."""
    kind = EMBEDDINGS.up_to(most)
    limits = Limits(calls(kind, engine), most_calls(kind, engine), kind.longest_ms, kind.lengths)
    machine = Machine(0.1, 0.0001)
    assert measure(machine, limits, 1.5, machine.clock)
    assert max(length for _, length in machine.calls) == min(most, 128)
    assert max(rows for rows, _ in machine.calls) <= most_calls(kind, engine).rows


def test_what_is_measured_is_what_it_takes() -> None:
    machine = Machine(1, 0.02, first_ms=60)
    figures = measure(machine, TEXT, 1.5, machine.clock)
    alone = [one for one in figures if one.size.in_flight == 1]
    assert {one.size.length for one in alone} == {16, 128}
    for one in alone:
        assert one.milliseconds == pytest.approx(1 + 0.02 * one.size.rows * one.size.length)
    assert choose(figures, TEXT).calls.rows >= 16


def test_the_limits_of_a_caller() -> None:
    on_gpu = NetworkEngine(on_gpu=True, instances=3, most_rows=48)
    assert most_calls(EMBEDDINGS, on_gpu) == Calls(48, 16_384, 6)
    assert most_calls(CROPS, NetworkEngine()) == Calls(16, 0, 4)
    for kind in (EMBEDDINGS, CROPS):
        assert calls(kind, NetworkEngine()).rows <= most_calls(kind, NetworkEngine()).rows


@pytest.mark.parametrize(("used", "told"), [(0.5, True), (1.0, False)])
def test_a_thread_that_waits_for_a_core_is_disturbed(
    monkeypatch: pytest.MonkeyPatch, used: float, told: bool
) -> None:
    now = [0.0]

    def wall() -> float:
        now[0] += 0.001
        return now[0]

    monkeypatch.setattr(calibration, "STAT", Path("/nowhere"))
    monkeypatch.setattr(time, "perf_counter", wall)
    monkeypatch.setattr(time, "thread_time", lambda: used * now[0])
    assert disturbed() is told


@pytest.mark.parametrize(
    ("user", "steal", "idle", "told"),
    [(4, 0, 76, False), (40, 0, 40, True), (0, 40, 40, True), (100, 0, 1500, False)],
)
def test_a_machine_that_computes_is_disturbed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, user: int, steal: int, idle: int, told: bool
) -> None:
    """Ticks between the two looks; the thread itself gets all that it wants."""
    stat = tmp_path / "stat"
    stat.write_text("cpu  1000 20 300 9000 40 5 6 70 0 0\ncpu0 1 2 3\n")

    def later(_: float) -> None:
        words = f"{1000 + user} 20 300 {9000 + idle} 40 5 6 {70 + steal} 0 0"
        stat.write_text(f"cpu  {words}\n")

    monkeypatch.setattr(calibration, "STAT", stat)
    monkeypatch.setattr(time, "sleep", later)
    monkeypatch.setattr(time, "thread_time", time.perf_counter)
    assert disturbed() is told


def test_a_network_of_single_calls_has_all_the_time() -> None:
    """A detector of 50 ms a picture: no rows are tried, so there is time for calls side by side."""
    now = [0.0]

    def call(rows: int, length: int) -> None:
        now[0] += 0.025  # of two cores

    limits = Limits(Calls(1, 0, 2), Calls(1, 0, 8), 100.0)
    figures = measure(call, limits, 1.5, lambda: now[0])
    assert [one.size.in_flight for one in figures] == [2, 3, 4]
    assert now[0] <= 2.0
