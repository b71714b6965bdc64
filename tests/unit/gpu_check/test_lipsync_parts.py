"""The lip-sync parts: right on a CPU, and not to be deceived by an engine that is wrong."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.gpu.check.lipsync import bench, capture, first_call, fusion, golden, race
from tests.gpu.check.options import Options
from tests.gpu.check.parts import chosen
from tests.gpu.check.runner import sections
from tests.gpu.check.section import Section

Spoil = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Options:
    return Options("cpu", quick=True, work=tmp_path_factory.mktemp("work"))


@pytest.mark.parametrize("name", ["lipsync.capture", "lipsync.race"])
def test_a_part_on_a_cpu(name: str, options: Options) -> None:
    (section,) = sections(chosen([name]), options, Path(sys.executable), 500.0)
    assert section.state == "ok", section.reason
    assert section.headline


class Fake:
    """An engine that answers by ONNX Runtime: right, or wrong on purpose.

    Attributes:
        pick: which tenant's session answers instead of the one that is asked for.
        spoil: what becomes of mouths, FP32.
        place: where every tenant's weights are said to be.
    """

    name, workers = "a fake", 4

    def __init__(self, options: Options) -> None:
        self.found = bench.tenants(options, race.TENANTS)
        self.pick: Callable[[int], int] = lambda tenant: tenant
        self.spoil: Spoil = lambda mouths: mouths
        self.place = "host"
        self.how = "32 fused convolutions"
        self.tiers = SimpleNamespace(where=lambda tiered: self.place)
        self._lock = threading.Lock()

    def load(self, blob: Any) -> Any:
        digests = [tenant.blob.manifest.blob_sha256 for tenant in self.found]
        number = digests.index(blob.manifest.blob_sha256)
        graph = SimpleNamespace(how=self.how)
        return SimpleNamespace(number=number, tiered=None, engine=self.name, graph=graph)

    def free(self, weights: Any) -> None:
        pass

    def run(
        self, worker: int, weights: Any, given: np.ndarray, sound: np.ndarray, mouths: np.ndarray
    ) -> None:
        last = slice(-golden.COMPARED, None)  # all that is looked at
        mouths[:] = 0
        scale = np.float32(255 if given.dtype == np.uint8 else 1)
        network = given[last].astype(np.float32) / scale
        if network.shape[1] == 3:
            network = golden.with_masked(network)
        with self._lock:
            answers = self.found[self.pick(weights.number)].plain(network, sound[last])
            answers = self.spoil(answers) * scale
        mouths[last] = answers.round() if given.dtype == np.uint8 else answers


@pytest.fixture
def fake(options: Options, monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake(options)

    @contextmanager
    def engine(*given: Any, **named: Any) -> Iterator[Fake]:
        yield made

    for module in (golden, race, fusion):
        monkeypatch.setattr(module, "engine", engine)
    return made


def nan(mouths: np.ndarray) -> np.ndarray:
    mouths[-1, 0, 0, 0] = np.nan
    return mouths


def zeroed(mouths: np.ndarray) -> np.ndarray:
    """What not-a-numbers once became."""
    return np.zeros_like(mouths)


def noisy(mouths: np.ndarray) -> np.ndarray:
    """Some 45 dB: worse than half precision, and not to be seen by eye."""
    noise = np.random.default_rng(0).normal(0, 0.0056, mouths.shape)
    return (mouths + noise).astype(np.float32)


def test_right_frames_pass(fake: Fake, options: Options) -> None:
    section = Section("golden")
    golden.check(section, options)
    assert section.headline
    assert len([fact for fact in section.facts if fact.startswith("PSNR")]) == 6


@pytest.mark.parametrize("spoil", [nan, zeroed, noisy])
def test_wrong_frames_do_not(spoil: Spoil, fake: Fake, options: Options) -> None:
    fake.spoil = spoil
    with pytest.raises(AssertionError, match="tenant 0, 1 frames, FP32, 6 channels"):
        golden.check(Section("golden"), options)


def test_another_tenants_frames_do_not(fake: Fake, options: Options) -> None:
    fake.pick = lambda tenant: 0
    with pytest.raises(AssertionError, match="tenant 1, "):
        golden.check(Section("golden"), options)


def test_one_answer_with_anothers_weights_is_found(fake: Fake, options: Options) -> None:
    calls = itertools.count()
    fake.pick = lambda tenant: (tenant + (next(calls) == 30)) % race.TENANTS
    section = Section("race")
    with pytest.raises(AssertionError, match=r"\d of .* answers are wrong"):
        race.check(section, options)
    assert section.facts["wrong answers"] == 1


def test_a_race_in_which_nothing_moved_is_none(fake: Fake, options: Options) -> None:
    fake.place = "device"
    with pytest.raises(AssertionError, match="never was off the device"):
        race.check(Section("race"), options)


def test_a_batch_that_was_not_captured_is_found(options: Options) -> None:
    whole = SimpleNamespace(captured=dict.fromkeys((1, 4), print))
    part = SimpleNamespace(captured={1: print})
    capture.all_captured(Section("capture"), options, {0: whole, 1: whole}, 2, (1, 4))
    for slots in ({0: whole, 1: part}, {0: whole}):
        with pytest.raises(AssertionError, match="not all is captured"):
            capture.all_captured(Section("capture"), options, slots, 2, (1, 4))
    on_gpu = Options("cuda:0", quick=True, work=options.work)
    with pytest.raises(AssertionError, match="4 batches are not CUDA graphs"):
        capture.all_captured(Section("capture"), on_gpu, {0: whole, 1: whole}, 2, (1, 4))


@pytest.mark.parametrize(
    ("first", "later", "late"), [(90, 1, False), (110, 1, True), (900, 95, False)]
)
def test_a_first_call_is_late(first: float, later: float, late: bool) -> None:
    assert first_call.is_late(first, later) == late


def test_which_convolutions_are_used_is_said(fake: Fake, options: Options) -> None:
    section = Section("fusion")
    fusion.check(section, options)
    assert section.headline.startswith("32 fused convolutions, ")
    fake.how = f"{fusion.PLAIN} (32 fused convolutions: a test frame is not finite)"
    fusion.check(section, options)
    assert section.headline == f"not used: {fake.how}"


def test_fused_convolutions_that_give_another_picture(fake: Fake, options: Options) -> None:
    asked = itertools.count()

    def later(mouths: np.ndarray) -> np.ndarray:
        return noisy(mouths) if next(asked) % 2 else mouths

    fake.spoil = later
    with pytest.raises(AssertionError, match="are demanded"):
        fusion.check(Section("fusion"), options)
