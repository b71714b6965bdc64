"""NVML as a source: units, figures that a device does not report, drivers and GPUs that go."""

from __future__ import annotations

import dataclasses

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.gpu import GpuSample, Reading, SourceLostError
from gateway.telemetry.gpu.nvml import DEVICE_GONE, DRIVER_GONE, NvmlSource
from tests.support.fake_gpu import FakeGpu, FakeNvml

NOW = 1_700_000_000.5
FULL = GpuSample(37, 12, 3072, 24576, 123.456, 150, 61, NOW)
FUNCTIONS = {
    "nvmlDeviceGetUtilizationRates": ("gpu_util", "mem_util"),
    "nvmlDeviceGetMemoryInfo": ("memory_used_mb", "memory_total_mb"),
    "nvmlDeviceGetPowerUsage": ("power_w",),
    "nvmlDeviceGetEnforcedPowerLimit": ("power_limit_w",),
    "nvmlDeviceGetTemperature": ("temperature_c",),
}
CODES = {
    name: getattr(pynvml, name)
    for name in dir(pynvml)
    if name.startswith("NVML_ERROR_")
}  # fmt: skip
UNREPORTED = sorted(set(CODES.values()) - DRIVER_GONE - DEVICE_GONE)


def source(nvml: FakeNvml) -> NvmlSource:
    return NvmlSource(nvml, clock=lambda: NOW)


def test_every_figure_in_its_unit() -> None:
    assert source(FakeNvml(FakeGpu())).read() == [Reading("NVIDIA A10", "GPU-a", FULL)]


def test_several_gpus_in_order() -> None:
    nvml = FakeNvml(FakeGpu(uuid="GPU-a", gpu=1), FakeGpu(uuid="GPU-b", gpu=2, name=b"H200"))
    readings = source(nvml).read()
    assert [(one.device, one.identity) for one in readings] == [
        ("NVIDIA A10", "GPU-a"),
        ("H200", "GPU-b"),
    ]
    assert [one.sample.gpu_util for one in readings if one.sample] == [1, 2]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("code", UNREPORTED)
def test_a_figure_that_is_not_reported_is_null(function: str, code: int) -> None:
    nvml = FakeNvml(FakeGpu(errors={function: code}))
    expected = dataclasses.replace(FULL, **dict.fromkeys(FUNCTIONS[function]))
    assert source(nvml).read()[0].sample == expected
    assert nvml.inits == 1, "the driver stays open"


@given(
    broken=st.dictionaries(st.sampled_from(sorted(FUNCTIONS)), st.sampled_from(UNREPORTED)),
    utilisation=st.integers(0, 100),
    milliwatts=st.integers(0, 2_000_000),
    used=st.integers(0, 2**40),
)
def test_figures_are_independent(
    broken: dict[str, int], utilisation: int, milliwatts: int, used: int
) -> None:
    whole = FakeGpu(uuid="GPU-b")
    gpu = FakeGpu(gpu=utilisation, milliwatts=milliwatts, used=used, errors=broken)
    first, second = source(FakeNvml(gpu, whole)).read()
    nulls = {name for function in broken for name in FUNCTIONS[function]}
    if first.sample is None:
        assert len(broken) == len(FUNCTIONS)
    else:
        figures = dataclasses.asdict(first.sample)
        assert {name for name, value in figures.items() if value is None} == nulls
        assert figures["gpu_util"] in (None, utilisation)
        assert figures["power_w"] in (None, milliwatts / 1000)
        assert figures["memory_used_mb"] in (None, used / 2**20)
    assert second.sample == FULL, "a neighbour is not affected"


@pytest.mark.parametrize(
    "code",
    [
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    ],
)
def test_a_card_that_has_no_figures_is_there_under_its_name(code: int) -> None:
    """Such as GB10, which has no memory of its own, and a GPU in MIG mode."""
    bare = FakeGpu(name="NVIDIA GB10", errors=dict.fromkeys(FUNCTIONS, code))
    memoryless = FakeGpu(uuid="GPU-b", errors={"nvmlDeviceGetMemoryInfo": code})
    first, second = source(FakeNvml(bare, memoryless)).read()
    assert first == Reading("NVIDIA GB10", "GPU-a", GpuSample(*[None] * 7, NOW))
    assert second.sample == dataclasses.replace(FULL, memory_used_mb=None, memory_total_mb=None)
    assert source(FakeNvml(bare)).read() == [first], "the only one is not lost either"


def test_a_card_that_fails_to_answer_is_not() -> None:
    code = pynvml.NVML_ERROR_UNKNOWN
    broken = FakeGpu(errors=dict.fromkeys(FUNCTIONS, code))
    found = source(FakeNvml(broken, FakeGpu(uuid="GPU-b"))).read()
    assert [one.sample for one in found] == [None, FULL]


@pytest.mark.parametrize(
    ("visible", "uuids"),
    [
        (None, ["GPU-a", "GPU-b", "GPU-c"]),
        ("1", ["GPU-b"]),
        ("2,0", ["GPU-c", "GPU-a"]),
        ("GPU-c,GPU-a", ["GPU-c", "GPU-a"]),
        (" 1 , 0 ", ["GPU-b", "GPU-a"]),
        ("0,9,1", ["GPU-a"]),
        ("MIG-x", ["GPU-a", "GPU-b", "GPU-c"]),
    ],
)
def test_gpus_have_the_numbers_that_cuda_gives_them(
    visible: str | None, uuids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    nvml = FakeNvml(*(FakeGpu(uuid=one) for one in ("GPU-a", "GPU-b", "GPU-c")))
    assert [one.identity for one in NvmlSource(nvml, visible=visible).read()] == uuids
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert [one.identity for one in NvmlSource(nvml).read()] == uuids


@pytest.mark.parametrize("visible", ["", "-1", "7", "GPU-"])
def test_where_cuda_shows_none_there_is_none(visible: str) -> None:
    nvml = FakeNvml(FakeGpu(), FakeGpu(uuid="GPU-b"))
    with pytest.raises(SourceLostError):
        NvmlSource(nvml, visible=visible).read()


def test_not_available_is_null() -> None:
    nvml = FakeNvml(FakeGpu(gpu=2**32 - 1, milliwatts=2**32 - 1))
    sample = source(nvml).read()[0].sample
    assert sample == dataclasses.replace(FULL, gpu_util=None, power_w=None)


def test_unnamed_device() -> None:
    code = pynvml.NVML_ERROR_NO_PERMISSION
    nvml = FakeNvml(FakeGpu(errors={"nvmlDeviceGetName": code, "nvmlDeviceGetUUID": code}))
    assert source(nvml).read() == [Reading("GPU 0", None, FULL)]


@pytest.mark.parametrize("function", ["nvmlDeviceGetHandleByIndex", *FUNCTIONS])
@pytest.mark.parametrize("code", sorted(DEVICE_GONE))
def test_a_lost_gpu_does_not_hide_the_others_and_may_return(function: str, code: int) -> None:
    lost = FakeGpu(name="H100", uuid="GPU-b")
    nvml = FakeNvml(FakeGpu(), lost)
    tested = source(nvml)
    tested.read()
    lost.errors[function] = code
    for _ in range(2):
        assert tested.read() == [
            Reading("NVIDIA A10", "GPU-a", FULL),
            Reading("H100", "GPU-b", None),
        ]
    inits = nvml.inits
    lost.errors.clear()
    assert [one.sample for one in tested.read()] == [FULL, FULL]
    assert nvml.inits == inits + 1, "a GPU is found again only by a fresh initialisation"
    assert nvml.opened == 1


@pytest.mark.parametrize("code", sorted(CODES.values()))
def test_a_driver_that_goes_is_lost_and_comes_back(code: int) -> None:
    nvml = FakeNvml(FakeGpu(), FakeGpu(uuid="GPU-b"))
    tested = source(nvml)
    tested.read()
    nvml.down = code
    for _ in range(2):
        with pytest.raises(SourceLostError):
            tested.read()
    assert nvml.opened == 0
    nvml.down = None
    assert [one.sample for one in tested.read()] == [FULL, FULL]
    assert nvml.opened == 1


@pytest.mark.parametrize("function", ["nvmlDeviceGetHandleByIndex", *FUNCTIONS])
@pytest.mark.parametrize("code", sorted(DRIVER_GONE))
def test_the_driver_goes_in_the_middle_of_a_read(function: str, code: int) -> None:
    second = FakeGpu(errors={function: code})
    nvml = FakeNvml(FakeGpu(), second)
    tested = source(nvml)
    with pytest.raises(SourceLostError):
        tested.read()
    assert nvml.opened == 0
    second.errors.clear()
    assert len(tested.read()) == 2


def test_no_gpu_at_all_is_lost() -> None:
    with pytest.raises(SourceLostError):
        source(FakeNvml()).read()


def test_the_only_gpu_is_lost() -> None:
    gpu = FakeGpu(errors={"nvmlDeviceGetHandleByIndex": pynvml.NVML_ERROR_GPU_IS_LOST})
    with pytest.raises(SourceLostError):
        source(FakeNvml(gpu)).read()


def test_close_releases_the_driver() -> None:
    nvml = FakeNvml(FakeGpu())
    tested = source(nvml)
    tested.read()
    tested.close()
    tested.close()
    assert nvml.opened == 0


def test_the_double_knows_no_function_that_nvml_lacks() -> None:
    functions = [name for name in dir(FakeNvml) if name.startswith("nvml")]
    assert len(functions) > len(FUNCTIONS)
    for name in functions:
        assert callable(getattr(pynvml, name))
