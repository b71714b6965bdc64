"""How much of /dev/shm the models need.

The Python backend moves every tensor through one region per model instance. A region starts at
1 MiB (`shm-default-byte-size`), grows in steps (`shm-growth-byte-size`) by what an execution
needs, and never shrinks. Measured with Triton 2.51: 6 MiB of inputs and outputs made a region of
10 MiB, that is at most twice the tensors. Hence, for the largest batch of every model:

    instances x (1 MiB + 2 x max(1, max_batch_size) x bytes of one row's inputs and outputs)

A string counts as STRING_BYTES bytes and a dimension of -1 as VARIABLE_DIM elements, or
PICTURE_SIDE where it is a side of a picture (UINT8, three channels last). A model that says in the
parameter `shm_mib` what an instance needs is believed: the formula knows nothing of encoded
pictures and clips, of alternative inputs, nor of requests that a model collects.
"""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from gateway.capacity import facts
from gateway.model_config import DataType, ModelConfig, load
from gateway.settings.lipsync import CALLS_ON_A_CPU, CALLS_PER_GPU_SLOT
from launcher.errors import LauncherError
from launcher.leftovers import SHM

MIB = 2**20
REGION_BYTES = MIB
HEADROOM = 2
STEP = 256 * MIB
"""What sizes of containers' shared memory are rounded up to."""
VARIABLE_DIM = 256
"""Assumed length of a variable dimension: the longest token sequence of the text models."""
PICTURE_SIDE = 640
"""Assumed side of a picture in pixels: what the face detector is given by default."""
STRING_BYTES = 2048
_ITEM_BYTES = {
    "TYPE_BOOL": 1, "TYPE_UINT8": 1, "TYPE_INT8": 1,
    "TYPE_UINT16": 2, "TYPE_INT16": 2, "TYPE_FP16": 2, "TYPE_BF16": 2,
    "TYPE_UINT32": 4, "TYPE_INT32": 4, "TYPE_FP32": 4,
    "TYPE_UINT64": 8, "TYPE_INT64": 8, "TYPE_FP64": 8,
    "TYPE_STRING": STRING_BYTES,
}  # fmt: skip


def needed_bytes(repository: Path, profile: str) -> int:
    """Shared memory that all models of the repository need together, in bytes."""
    total = 0
    for folder in sorted(path for path in repository.iterdir() if path.is_dir()):
        config = folder / "configs" / f"{profile}.pbtxt"
        config = config if config.is_file() else folder / "config.pbtxt"
        if config.is_file():
            total += model_bytes(load(config, of_any_version=True))
    return total


def container_bytes(repository: Path, regions: int, devices: int = 1) -> int:
    """Return what `--shm-size` must be for Triton and a gateway that shares its memory.

    Lip-sync counts as on GPUs, where its models get more calls at once than `shm_mib` says.

    Args:
        repository: Model repository; the largest of its profiles counts.
        regions: Most bytes of the gateway's regions for frames (`lipsync.shared_memory_mb`).
        devices: Lip-sync devices; each has a model of its own.

    Returns:
        Bytes, rounded up to STEP.
    """
    profiles = {path.stem for path in repository.glob("*/configs/*.pbtxt")} | {"default"}
    models = max(needed_bytes(repository, name) for name in profiles)
    further = model_bytes(load(repository / "lipsync" / "config.pbtxt"))
    calls = CALLS_PER_GPU_SLOT * facts.GPU_SLOTS // CALLS_ON_A_CPU
    total = models + regions + (calls * devices - 1) * further
    return -(-total // STEP) * STEP


def model_bytes(config: ModelConfig) -> int:
    """Shared memory that one model needs, in bytes."""
    instances = sum(int(group.count) or 1 for group in config.instance_group) or 1
    if "shm_mib" in config.parameters:
        return instances * int(config.parameters["shm_mib"].string_value) * MIB
    batch = max(1, int(config.max_batch_size))
    tensors = sum(
        _tensor_bytes(tensor.data_type, list(tensor.dims))
        for tensor in (*config.input, *config.output)
    )
    return instances * (REGION_BYTES + HEADROOM * batch * tensors)


def check_shm(repository: Path, profile: str) -> str:
    """Compare what the models need with what /dev/shm has free.

    Returns:
        A sentence for the person who started the check.

    Raises:
        LauncherError: It is too small.
    """
    needed = needed_bytes(repository, profile) if repository.is_dir() else 0
    usage = shutil.disk_usage(SHM)
    sentence = (
        f"{SHM} has {usage.free // MIB} of {usage.total // MIB} MiB free, "
        f"the models may need {math.ceil(needed / MIB)} MiB"
    )
    if usage.free < needed:
        raise LauncherError(
            f"{sentence}: enlarge it (mount -o remount,size=2g /dev/shm; in a container "
            "--shm-size=2g) or lower instance_group and max_batch_size of the models"
        )
    return sentence


def _tensor_bytes(data_type: int, sizes: list[int]) -> int:
    kind = DataType.Name(data_type)
    open_sizes = [VARIABLE_DIM] * len(sizes)
    if kind == "TYPE_UINT8" and sizes[-1:] == [3]:
        open_sizes[-3:-1] = [PICTURE_SIDE] * len(open_sizes[-3:-1])
    elements = math.prod(
        size if size >= 0 else assumed for size, assumed in zip(sizes, open_sizes, strict=True)
    )
    return elements * _ITEM_BYTES.get(kind, 4)
