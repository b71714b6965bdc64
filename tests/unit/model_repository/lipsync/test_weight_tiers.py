"""Weights on a device, in pinned memory and in files: right whoever reads them, and bounded."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lipsync_errors import TenantMemoryError
from memory.device_lru import PROMOTE_AFTER, DeviceLru
from memory.pinned_arena import SEGMENT, PinnedArena
from memory.torch_device import CpuDevice
from memory.weight_tiers import TieredWeights, WeightTiers

from tests.support.lazy_device import LazyDevice

NUMBERS = 1000
SIZE = 2 * NUMBERS
HOST = SEGMENT
ACTIONS = st.lists(
    st.tuples(st.sampled_from(["add", "use", "remove", "resize", "squeeze"]), st.integers(0, 7)),
    max_size=60,
)


class Bench:
    """Tiers with tenants whose weights are all one number, and slots to copy them to."""

    def __init__(
        self, device: Any, fit: int, tenants: int, slots: int = 1, host: int = HOST
    ) -> None:
        self.device = device
        self.tiers = WeightTiers(device, fit * SIZE, host)
        self.reads = 0
        self.made = [self.tiers.add(lambda n=n: self._read(n)) for n in range(tenants)]
        self.streams = [device.stream() for _ in range(slots)]
        with device.on(self.streams[0]):
            self.slots = [device.empty((NUMBERS,), torch.float32) for _ in range(slots)]

    def _read(self, number: int) -> torch.Tensor:
        self.reads += 1
        return torch.full((NUMBERS,), float(number), dtype=torch.float16)

    def start(self, number: int, slot: int = 0) -> None:
        with self.device.on(self.streams[slot]):
            self.tiers.copy_to(self.made[number], self.slots[slot], self.streams[slot])

    def check(self, number: int, slot: int = 0) -> None:
        self.streams[slot].synchronize()
        assert self.slots[slot].eq(float(number)).all()

    def use(self, number: int, slot: int = 0) -> None:
        self.start(number, slot)
        self.check(number, slot)

    def where(self) -> list[str]:
        return [self.tiers.where(one) for one in self.made]


@pytest.fixture(params=[CpuDevice, LazyDevice])
def device(request: pytest.FixtureRequest) -> Any:
    return request.param()


def test_weights_that_are_still_arriving_are_waited_for() -> None:
    """B1: one worker promotes a tenant; another reads it at once, on its own stream."""
    bench = Bench(LazyDevice(), fit=2, tenants=3, slots=2)
    assert bench.where() == ["host", "device", "device"]
    for _ in range(PROMOTE_AFTER):
        bench.start(0, slot=0)  # nothing of it has happened yet
    assert bench.where()[0] == "device"
    bench.start(0, slot=1)
    bench.check(0, slot=1)
    bench.check(0, slot=0)
    assert bench.device.kept >= 2, "their memory is not given away before the copies are done"


def test_without_that_wait_it_would_be_noticed() -> None:
    bench = Bench(LazyDevice(ordered=False), fit=2, tenants=3, slots=2)
    for stream in bench.streams:
        stream.synchronize()
    for _ in range(PROMOTE_AFTER):
        bench.start(0, slot=0)
    bench.start(0, slot=1)
    with pytest.raises(AssertionError):
        bench.check(0, slot=1)


def test_a_read_of_pinned_memory_ends_before_others_write_there() -> None:
    bench = Bench(LazyDevice(), fit=2, tenants=4, slots=2)
    bench.start(0, slot=0)  # from pinned memory, and not done for a while
    bench.start(0, slot=1)  # earns the device, and gives its place up
    for _ in range(PROMOTE_AFTER):
        bench.start(1, slot=1)  # pushes tenant 3 out, which gets that place
    assert bench.where() == ["device", "device", "host", "host"]
    bench.use(3, slot=1)
    bench.check(0, slot=0)


def test_every_move_keeps_every_number(device: Any) -> None:
    bench = Bench(device, fit=2, tenants=4)
    assert bench.where() == ["host", "host", "device", "device"]
    for number in np.random.default_rng(0).integers(0, 4, 60):
        bench.use(int(number))
        assert bench.tiers.device_bytes <= 2 * SIZE
    for one in bench.made:
        bench.tiers.remove(one)
    assert bench.tiers.device_bytes == 0
    assert bench.tiers.host_bytes == 0


@pytest.mark.parametrize("host", [HOST, 0])
def test_four_threads_read_what_they_asked_for(device: Any, host: int) -> None:
    bench = Bench(device, fit=2, tenants=3, slots=4, host=host)

    def work(slot: int) -> None:
        for number in np.random.default_rng(slot).integers(0, 3, 150):
            bench.use(int(number), slot)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert bench.tiers.device_bytes <= 2 * SIZE
    assert bench.tiers.host_bytes <= 2 * SIZE, "who came back to the device gave its place back"


def test_tenants_leave_while_others_are_read(device: Any) -> None:
    bench = Bench(device, fit=2, tenants=6, slots=2)
    wrong: list[BaseException] = []

    def churn() -> None:
        try:
            for _ in range(100):
                one = bench.tiers.add(lambda: torch.full((NUMBERS,), 9.0, dtype=torch.float16))
                bench.tiers.remove(one)
        except BaseException as error:
            wrong.append(error)

    thread = threading.Thread(target=churn)
    thread.start()
    for number in np.random.default_rng(1).integers(0, 6, 200):
        bench.use(int(number))
    thread.join()
    assert not wrong


def test_pinned_memory_has_a_bound_and_the_rest_is_read_again(device: Any) -> None:
    bench = Bench(device, fit=1, tenants=3, host=0)
    assert bench.where() == ["file", "file", "device"]
    before = bench.reads
    for number in (0, 1, 0, 1, 2):
        bench.use(number)
    assert bench.reads > before
    assert bench.tiers.host_bytes == 0


def test_pinned_memory_that_cannot_be_had_is_done_without(device: Any) -> None:
    def none(size: int) -> torch.Tensor:
        raise RuntimeError("cudaHostAlloc: out of memory")

    device.pinned = none
    bench = Bench(device, fit=1, tenants=2)
    assert bench.where() == ["file", "device"]
    bench.use(0)


def test_the_lock_is_free_while_weights_are_read(device: Any) -> None:
    bench = Bench(device, fit=1, tenants=2, host=0)
    begun, go_on = threading.Event(), threading.Event()

    def slowly() -> torch.Tensor:
        begun.set()
        assert go_on.wait(60)
        return torch.zeros(NUMBERS, dtype=torch.float16)

    bench.made[0].read = slowly
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(bench.start, 0)
        assert begun.wait(60)
        assert bench.tiers.device_bytes == SIZE  # takes the lock
        go_on.set()
        slow.result(60)


def test_less_memory_than_planned_makes_others_leave_and_is_tried_once_more() -> None:
    bench = Bench(LazyDevice(), fit=4, tenants=3)
    assert bench.where() == ["device"] * 3
    bench.device.full = 1
    bench.made.append(bench.tiers.add(lambda: bench._read(3)))
    assert bench.where() == ["host", "device", "device", "device"]
    bench.tiers.add(lambda: bench._read(4))
    assert bench.tiers.device_bytes == 3 * SIZE, "what proved not to be there stays given up"
    for number in range(4):
        bench.use(number)


def test_no_memory_at_all_refuses_a_tenant_and_reads_others_from_the_host() -> None:
    bench = Bench(LazyDevice(), fit=2, tenants=3)
    bench.device.full = 2
    with pytest.raises(TenantMemoryError):
        bench.tiers.add(lambda: bench._read(3))
    bench.device.full = 100
    for _ in range(PROMOTE_AFTER + 1):
        bench.use(0)
    assert bench.where()[0] != "device"


def test_another_error_of_the_device_is_not_taken_for_too_little_memory() -> None:
    bench = Bench(LazyDevice(), fit=2, tenants=1)

    def broken(shape: Any, dtype: Any) -> torch.Tensor:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    bench.device.empty = broken
    before = bench.tiers.device_bytes
    with pytest.raises(torch.AcceleratorError):
        bench.tiers.add(lambda: bench._read(1))
    assert bench.tiers.device_bytes == before


@given(ACTIONS, st.integers(10, 40))
def test_the_device_is_never_over_its_budget_and_nobody_is_lost(
    actions: list[tuple[str, int]], capacity: int
) -> None:
    lru, known = DeviceLru(capacity), {}
    for action, key in actions:
        size = key + 1
        if action == "add" and key not in known and size <= lru.capacity:
            leaving = lru.add(key, size)
            known[key] = size
            assert all(other in known and not lru.on_device(other) for other in leaving)
            assert lru.on_device(key)
        elif action == "use" and key in known and lru.use(key):
            lru.promote(key)
            assert lru.on_device(key)
        elif action == "resize":
            lru.resize(5 * key)
        elif action == "squeeze" and lru.on_device(key):
            before = lru.capacity
            lru.squeeze(key)
            assert lru.on_device(key)
            assert lru.capacity <= before
        elif action == "remove":
            lru.remove(key)
            known.pop(key, None)
        assert lru.used <= lru.capacity
        assert lru.used == sum(size for key, size in known.items() if lru.on_device(key))


def test_the_least_recently_used_goes_to_the_host_and_earns_its_way_back() -> None:
    lru = DeviceLru(2)
    lru.add(1, 1)
    lru.add(2, 1)
    lru.use(1)
    assert lru.add(3, 1) == [2]
    for _ in range(PROMOTE_AFTER - 1):
        assert not lru.use(2)
    assert lru.use(2)
    assert lru.promote(2) == [1]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5)), max_size=60))
def test_the_arena_gives_no_byte_to_two_and_forgets_none(steps: list[tuple[bool, int]]) -> None:
    arena = PinnedArena(SEGMENT, lambda size: torch.empty(size, dtype=torch.uint8))
    held: list[Any] = []
    for take, number in steps:
        if take:
            piece = arena.take(number * (SEGMENT // 16))
            if piece is not None:
                held.append(piece)
        elif held:
            arena.drop(held.pop(number % len(held)))
        places = sorted((one.memory.data_ptr(), len(one.memory)) for one in held)
        assert all(
            first + size <= after for (first, size), (after, _) in itertools.pairwise(places)
        )
        assert arena.free_bytes + sum(size for _, size in places) == arena.pinned_bytes <= SEGMENT
    for piece in held:
        arena.drop(piece)
    assert arena.take(SEGMENT) is not None or arena.pinned_bytes == 0


def test_a_piece_in_use_is_given_back_after_it() -> None:
    arena = PinnedArena(SEGMENT, lambda size: torch.empty(size, dtype=torch.uint8))
    piece = arena.take(SEGMENT)
    arena.use(piece)
    arena.drop(piece)
    assert arena.take(1) is None
    device = LazyDevice()
    stream, event = device.stream(), device.event()
    stream.add(lambda: None)
    event.record(stream)
    arena.used(piece, event)
    assert arena.take(1).pending == [event], "the device still reads it"


def test_weights_know_their_size() -> None:
    assert TieredWeights(torch.zeros(8, dtype=torch.float16), lambda: None).memory_bytes == 16
