"""What things take, each number with where it comes from. All in bytes."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20
GB = 10**9

CONTEXT = 600 * MIB
"""Of a process on a GPU: CUDA context and the kernels of its libraries. "Around 600 MiB"
(https://forums.developer.nvidia.com/t/why-tensorrt-occupy-many-memory/56741/2); less with lazy
loading. Not measured here."""
ARENA_FACTOR = 2
"""ONNX Runtime's CUDA arena takes what a request needs (``arena_extend_strategy``,
https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html) and gives nothing back:
what does not fit into a part that is free adds another. Twice is an assumption."""
LEAST_WORKSPACE, WORKSPACE_SHARE = 2**30, 16
"""Scratch memory that building a plan may use, see :func:`plan_workspace`."""
PYTHON_PROCESS = 140 * MIB
"""Of a Python model's process before its model: measured with Triton 2.51, 137 MB unique."""
KEPT_FREE = 0.05
"""Share of every memory that is not planned with: fragments, and what others take."""

TENANT_ON_GPU = 24_308_096
"""A lip-sync tenant's weights on a GPU: 12,153,887 numbers in FP16 on 64-byte borders. Size of the
blob of a tenant of the documented network; a test imports one."""
TENANT_ON_CPU = 49_200_000
"""A lip-sync tenant's memory on a CPU, measured (load_tests/RESULTS.md)."""
FRAME_ACTIVATIONS = 104_857_600
"""Live tensors of one frame in FP32, see :class:`Network`; half of it in FP16 on a GPU."""
GPU_SLOTS = 4
"""Slots of a lip-sync device, ``GPU_WORKERS`` of its model."""
SLOT = 2 * GB
"""Of a slot: 25 frames' activations in FP16 are 1.3 GB; the rest are libraries' workspaces.
``CudaDevice.slot_bytes`` of the model, which leaves as much free. Not measured on a GPU."""
PINNED = 4 * 2**30
"""Of the host that a lip-sync device pins at most, for tenants that its GPU has no room for:
``host_memory_gb`` of its model."""

VLM_WEIGHTS = 18 * GB
"""Qwen3-VL-8B-Thinking in bfloat16, as model_repository/vlm/config.pbtxt says."""
DIFFUSION = {"transformer": 20.0e9, "text encoder": 8.3e9}
"""Parameters of Qwen-Image-Edit's parts, of their model cards (huggingface.co/Qwen/Qwen-Image-Edit
and Qwen/Qwen2.5-VL-7B-Instruct). The VAE is below a hundredth of them."""
DIFFUSION_ACTIVATIONS = 8 * GB
"""Of one picture of a megapixel. An assumption: not measured, and no source says."""


CALLS = {
    "text_embedding": ((64, 4_096), (64, 16_384)),
    "bertscore": ((32, 2_048), (64, 8_192)),
    "reranking": ((32, 2_048), (64, 16_384)),
    "image_classification": ((8, 0), (32, 0)),
    "face_enrollment": ((16, 0), (64, 0)),
}
"""Most rows and padded tokens in a call, by the caller's kind: on a CPU, on a GPU. The most that
the models' engine_values.py let a measurement choose; a test compares."""


def plan_workspace(card: int) -> int:
    """Return the scratch memory, bytes, that building a plan may use on a card of so many bytes.

    A sixteenth, at least 1 GiB: with less, TensorRT leaves out its fastest kernels for large
    layers; it takes what the chosen ones need, not all of it.
    """
    return max(LEAST_WORKSPACE, card // WORKSPACE_SHARE)


@dataclass(frozen=True)
class Network:
    """An ONNX network with dynamic batches.

    Attributes:
        weights: of the graph file that ``make models`` writes; a file that is there counts instead.
        row: largest sum of the tensors that are alive at once while a row of the largest size runs
            in FP32, every operator's output counted. By the graph; a test works it out again.
        size: of that row: tokens, or the longer side in pixels; 0 for a fixed one.
    """

    weights: int
    row: int
    size: int = 0


NETWORKS = {
    "sentence_encoder": Network(90_364_401, 7_080_976, 256),
    "token_encoder": Network(90_363_568, 26_740_752, 512),
    # Of MiniLM's size (6 layers of 384), with a pooler and one label: none is exported by default.
    "cross_encoder": Network(90_852_273, 26_851_344, 512),
    "face_detector": Network(7_293_728, 78_643_200, 640),
    "face_embedder": Network(4_898_009, 4_816_896),
    "expression_classifier": Network(28_156_998, 8_429_568),
    "image_classifier": Network(13_996_017, 9_784_320),
    "audio_encoder": Network(6_274_089, 327_680),
}
