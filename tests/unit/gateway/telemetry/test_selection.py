"""Which source is read, and what happens when it goes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gateway.settings import Settings, load_settings
from gateway.settings.telemetry import GpuSettings
from gateway.telemetry.gpu import (
    Reading,
    SourceLostError,
    SourceName,
    gpu_source,
    select_source,
)
from gateway.telemetry.gpu.selection import RECHECK_SECONDS, SelectedSource, StubSource


class Switch:
    """A source that works or not."""

    def __init__(self, name: SourceName, works: bool = False) -> None:
        self.name: SourceName = name
        self.works = works
        self.reads = 0
        self.closed = 0

    def read(self) -> list[Reading]:
        self.reads += 1
        if not self.works:
            raise SourceLostError
        return StubSource().read()

    def close(self) -> None:
        self.closed += 1


class Machine:
    """DCGM, NVML, the stub, and a clock."""

    def __init__(self, *, dcgm: bool = False, nvml: bool = False) -> None:
        self.now = 1000.0
        self.dcgm, self.nvml = Switch("dcgm", dcgm), Switch("nvml", nvml)
        stub = StubSource()
        self.source = SelectedSource([self.dcgm, self.nvml], stub, clock=lambda: self.now)

    def read(self) -> SourceName:
        assert len(self.source.read()) == 1
        return self.source.name


@pytest.mark.parametrize(
    ("dcgm", "nvml", "expected"),
    [(True, True, "dcgm"), (False, True, "nvml"), (False, False, "stub"), (True, False, "dcgm")],
)
def test_the_best_that_works(dcgm: bool, nvml: bool, expected: str) -> None:
    assert Machine(dcgm=dcgm, nvml=nvml).read() == expected


def test_a_driver_that_appears_later_is_taken() -> None:
    machine = Machine()
    assert machine.read() == "stub"
    machine.nvml.works = True
    machine.now += RECHECK_SECONDS / 2
    assert machine.read() == "stub"
    assert machine.nvml.reads == 1, "no driver is looked for at every read"
    machine.now += RECHECK_SECONDS / 2
    assert machine.read() == "nvml"


def test_a_lost_driver_is_never_covered_with_invented_figures() -> None:
    machine = Machine(nvml=True)
    machine.read()
    machine.nvml.works = False
    for _ in range(3):
        machine.now += RECHECK_SECONDS
        with pytest.raises(SourceLostError):
            machine.source.read()
        assert machine.source.name == "nvml"
    machine.nvml.works = True
    assert machine.read() == "nvml"


def test_a_lost_source_is_retried_at_once_and_replaced_by_another_real_one() -> None:
    machine = Machine(dcgm=True)
    assert machine.read() == "dcgm"
    machine.dcgm.works = False
    with pytest.raises(SourceLostError):
        machine.source.read()
    machine.nvml.works = True
    assert machine.read() == "nvml"
    machine.dcgm.works = True
    assert machine.read() == "nvml", "what works is kept"
    machine.nvml.works = False
    assert machine.read() == "dcgm"


def test_without_stand_in() -> None:
    nvml = Switch("nvml")
    source = SelectedSource([nvml])
    for reads in (1, 2):
        with pytest.raises(SourceLostError):
            source.read()
        assert nvml.reads == reads
    assert source.name == "nvml"


def test_close_releases_all() -> None:
    machine = Machine(nvml=True)
    machine.source.close()
    assert (machine.dcgm.closed, machine.nvml.closed) == (1, 1)


@pytest.mark.parametrize("name", ["dcgm", "nvml", "triton", "stub"])
def test_a_fixed_choice(name: SourceName) -> None:
    source = select_source(GpuSettings(source=name))
    assert source.name == name
    assert not isinstance(source, SelectedSource)


def test_the_automatic_choice_has_an_answer_everywhere() -> None:
    source = select_source(GpuSettings())
    (first, *_) = source.read()
    assert first.sample is not None
    assert source.name in ("dcgm", "nvml", "stub")
    source.close()


WANTED: list[dict[str, object]] = [
    {"triton": {"use_plans": True, "start": False, "url": "unix:/run/t:1"}},
    {"text": {"device": "cuda"}},
    {"vision": {"device": "cuda:1"}},
    {"lipsync": {"gpus": {"enabled": True}}},
    {"tryon": {"model": {"engine": "diffusers", "device": "cuda"}}},
    {"telemetry": {"gpu": {"dcgm_address": "127.0.0.1:1"}}},
    {"telemetry": {"gpu": {"source": "triton"}}},
]
OPEN: list[dict[str, object]] = [
    {},
    {"text": {"device": "cpu"}},
    {"lipsync": {"gpus": {"enabled": False}}},
    {"lipsync": {"gpus": {"count": 2}}},
    {"tryon": {"model": {"engine": "diffusers", "device": "cpu"}}},
    {"services": ["text"], "lipsync": {"gpus": {"enabled": True}}},
]


def configured(tmp_path: Path, content: dict[str, object]) -> Settings:
    """The settings of a file, with a Triton that nobody runs."""
    triton = {"metrics_url": "http://127.0.0.1:1/metrics", **content.get("triton", {})}  # type: ignore[dict-item]
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({**content, "triton": triton}))
    return load_settings(file, {})


@pytest.mark.parametrize("content", WANTED, ids=str)
def test_nothing_is_invented_where_the_configuration_wants_a_gpu(
    content: dict[str, object], tmp_path: Path
) -> None:
    source = gpu_source(configured(tmp_path, content))
    for _ in range(2):
        with pytest.raises(SourceLostError):
            source.read()
        assert source.name != "stub"
    source.close()


@pytest.mark.parametrize("content", OPEN, ids=str)
def test_a_machine_without_a_gpu_still_has_its_demonstration(
    content: dict[str, object], tmp_path: Path
) -> None:
    source = gpu_source(configured(tmp_path, content))
    assert [one.device for one in source.read()] == ["virtual-gpu"]
    source.close()


@pytest.mark.parametrize(
    ("url", "first"),
    [
        ("gpu-box:8001", "triton"),
        ("dns:///triton:8001", "triton"),
        ("127.0.0.1:8001,gpu-box:8001", "triton"),
        ("127.0.0.1:8001", "dcgm"),
        ("unix:/run/pentad/triton:8001", "dcgm"),
        (None, "dcgm"),
    ],
)
def test_a_driver_here_knows_nothing_of_the_gpus_of_another_machine(
    url: str | None, first: str, tmp_path: Path
) -> None:
    content: dict[str, object] = {
        "services": ["text"],
        "text": {"device": "cuda"},
        "triton": {"start": url is None, "url": url},
    }
    assert gpu_source(configured(tmp_path, content)).name == first
    content["telemetry"] = {"gpu": {"dcgm_address": "gpu-box:5555"}}
    assert gpu_source(configured(tmp_path, content)).name == "dcgm"
