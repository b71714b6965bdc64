"""Many requests at once: every answer is its tenant's, whatever happens meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from tests.support.lipsync_model import MODEL, LipsyncModel, serving
from tests.support.lipsync_tenants import Tenant, audio, frames, made, write_tenant
from tests.support.waiting import wait_for

BATCHES = 1000
SLOW = np.zeros((50, 3, 320, 320), np.uint8)
"""With a tenant of full width, seconds of work on two cores."""


class Known:
    """Inputs and the answers that a tenant gives to them."""

    def __init__(self, tenant: Tenant, kinds: int = 3) -> None:
        self.tenant = tenant
        self.given = [
            (np.round(frames(1, seed=seed, channels=3) * 255).astype(np.uint8), audio(seed=seed))
            for seed in range(kinds)
        ]
        self.expected = []
        for face, sound in self.given:
            black = face.copy()
            black[:, :, 5:306, 5:311] = 0
            full = np.concatenate([face, black], axis=1).astype(np.float32) / 255
            self.expected.append(np.rint(tenant.plain(full, sound) * 255).astype(np.int16))

    def check(self, model: LipsyncModel, number: int) -> None:
        """One request; its answer must be this tenant's own, to the last bit but rounding."""
        kind = number % len(self.given)
        face, sound = self.given[kind]
        got = model.ask(self.tenant.name, face, sound, "UINT8").astype(np.int16)
        assert np.abs(got - self.expected[kind]).max() <= 1


def test_two_tenants_hammered_at_once_never_see_each_other(
    lipsync: LipsyncModel, tenants: list[Tenant]
) -> None:
    known = [Known(tenant) for tenant in tenants[:2]]
    for tenant in tenants[:2]:
        lipsync.load(tenant.name, tenant.file)
    differ = np.abs(known[0].expected[0] - known[1].expected[0])
    assert differ.max() > 20, "the tenants' answers must differ to be told apart"

    def hammer(thread: int) -> None:
        for number in range(BATCHES // 4):
            known[thread % 2].check(lipsync, number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(hammer, range(4)))


def hammered(check: Callable[[], None], threads: int, stop: threading.Event) -> Callable[[], int]:
    """Runs `check` in threads until `stop`; the returned function waits and counts."""
    counts, errors = [0] * threads, []

    def loop(thread: int) -> None:
        while not stop.is_set() and not errors:
            try:
                check()
            except Exception as error:
                errors.append(error)
            counts[thread] += 1

    running = [threading.Thread(target=loop, args=(number,)) for number in range(threads)]
    for one in running:
        one.start()

    def finish() -> int:
        stop.set()
        for one in running:
            one.join(120)
        if errors:
            raise errors[0]
        return sum(counts)

    return finish


def test_reloads_under_traffic_lose_nothing(lipsync: LipsyncModel, fresh: Tenant) -> None:
    known = Known(fresh, kinds=1)
    lipsync.load(fresh.name, fresh.file)
    finish = hammered(lambda: known.check(lipsync, 0), 3, threading.Event())
    for _ in range(20):
        lipsync.load(fresh.name, fresh.file, force=True)
    assert finish() > 10
    lipsync.unload(fresh.name)


def test_unloads_under_traffic_finish_what_runs_and_refuse_the_rest_by_name(
    lipsync: LipsyncModel, fresh: Tenant
) -> None:
    known = Known(fresh, kinds=1)
    lipsync.load(fresh.name, fresh.file)
    refused: list[str] = []

    def check() -> None:
        try:
            known.check(lipsync, 0)
        except InferenceServerException as error:
            refused.append(error.message())
            lipsync.load(fresh.name, fresh.file)  # as the gateway does

    finish = hammered(check, 3, threading.Event())
    for _ in range(20):
        lipsync.unload(fresh.name)
        time.sleep(0.02)
    wait_for(lambda: refused)  # somebody came after an unload
    assert finish() > 10
    assert {message.split(":")[0] for message in refused} == {"tenant_not_loaded"}
    lipsync.unload(fresh.name)


def test_weights_that_change_on_disk_are_swapped_between_requests(
    lipsync: LipsyncModel, fresh: Tenant
) -> None:
    given, sound = frames(10, seed=1), audio()
    lipsync.load(fresh.name, fresh.file)
    old = fresh.plain(given[:1], sound)
    answers: list[np.ndarray] = []
    stop = threading.Event()
    finish = hammered(
        lambda: answers.append(lipsync.ask(fresh.name, given, sound)[[0, 9]]), 2, stop
    )
    changed = made(fresh.file.parent, fresh.name, seed=41)
    lipsync.load(fresh.name, changed.file, force=True)
    while len(answers) < 6:
        time.sleep(0.01)
    finish()
    new = changed.plain(given[[0, 9]], sound)
    old = np.concatenate([old, fresh.plain(given[9:], sound)])
    for answer in answers:  # the first and the last frame are of one and the same tenant
        same = [np.abs(answer - one).max() <= 1e-5 for one in (old, new)]
        assert sum(same) == 1
    np.testing.assert_allclose(lipsync.ask(fresh.name, given, sound)[[0, 9]], new, atol=1e-5)
    lipsync.unload(fresh.name)


def test_a_cancelled_request_frees_the_model_at_once(tmp_path: Path) -> None:
    tenant = made(tmp_path, "cancelled", 40, width=1.0)
    # A server of its own: metrics come late, and those of other tests would be counted here.
    with serving(tmp_path / "server", workers="2") as model:
        model.load(tenant.name, tenant.file)
        calls = [
            model.start(tenant.name, SLOW, audio(), lambda result, error: None) for _ in range(4)
        ]
        model.wait_in_flight(tenant.name, len(calls))  # one that is on its way in is none yet
        for call in calls:
            call.cancel()
        model.wait_metric(len(calls), "requests_total", outcome="cancelled")
        model.wait_in_flight(tenant.name, 0)  # frames that another core computes are finished first
        assert model.stats()["tenants"][tenant.name]["frames"] < len(calls) * len(SLOW)
        assert model.unload(tenant.name)


def test_a_request_whose_time_is_over_is_not_finished(
    lipsync: LipsyncModel, tmp_path: Path
) -> None:
    tenant = made(tmp_path, "late", 40, width=1.0)
    lipsync.load(tenant.name, tenant.file)
    with pytest.raises(InferenceServerException, match="the deadline has passed"):
        lipsync.ask(tenant.name, SLOW, audio(), timeout=100_000)  # microseconds
    lipsync.unload(tenant.name)


def test_a_long_request_does_not_keep_a_short_one_waiting(
    lipsync: LipsyncModel, tenants: list[Tenant], tmp_path: Path
) -> None:
    slow, quick = made(tmp_path, "long", 40, width=1.0), tenants[1]
    for tenant in (slow, quick):
        lipsync.load(tenant.name, tenant.file)
    finished = [threading.Event() for _ in range(2)]
    for one in finished:
        lipsync.start(slow.name, SLOW, audio(), lambda result, error, one=one: one.set())
    lipsync.wait_in_flight(slow.name, len(finished))
    lipsync.ask(quick.name, frames(1), audio())
    assert not all(one.is_set() for one in finished), "the long ones were first"
    assert all(one.wait(120) for one in finished)
    lipsync.unload(slow.name)


def test_a_dead_stub_forgets_its_tenants_and_a_reload_brings_them_back(tmp_path: Path) -> None:
    tenant = made(tmp_path, "one", 1)
    given, sound = frames(1), audio()
    with serving(tmp_path / "server", workers="1", queue_size="2") as model:
        model.load(tenant.name, tenant.file)
        time.sleep(1)  # the answer is out: a stub that dies while it sends can take Triton with it
        model.stub().kill()
        with pytest.raises(InferenceServerException, match="Stub process"):
            model.ask(tenant.name, given, sound)
        model.client.unload_model(MODEL)
        model.client.load_model(MODEL)
        with pytest.raises(InferenceServerException, match="tenant_not_loaded: "):
            model.ask(tenant.name, given, sound)
        assert not model.load(tenant.name, tenant.file)["imported"]
        expected = tenant.plain(given, sound)
        np.testing.assert_allclose(model.ask(tenant.name, given, sound), expected, atol=1e-5)

        # The queue takes two requests; a third one is refused at once.
        model.load("slow", made(tmp_path, "slow", 2, width=1.0).file)
        done = threading.Semaphore(0)
        for _ in range(2):
            model.start("slow", SLOW, sound, lambda result, error: done.release())
        model.wait_in_flight("slow", 2)
        with pytest.raises(InferenceServerException, match="queue is full"):
            model.ask(tenant.name, given, sound)
        for _ in range(2):
            assert done.acquire(timeout=120)


def test_memory_does_not_grow_with_requests(lipsync: LipsyncModel, tmp_path: Path) -> None:
    files = [write_tenant(tmp_path, f"memory-{seed}", seed) for seed in range(6)]
    face = np.zeros((1, 3, 320, 320), np.uint8)

    def round_of(requests: int) -> int:
        for number in range(requests):
            file = files[number % len(files)]
            if number % 10 == 0:
                lipsync.unload(file.stem)
            lipsync.load(file.stem, file)
            lipsync.ask(file.stem, face, audio(), "UINT8")
        return lipsync.stub().memory_full_info().uss

    before = round_of(60)
    assert round_of(240) - before < 8 * 2**20
    for file in files:
        lipsync.unload(file.stem)
