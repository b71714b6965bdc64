"""What a node's volume holds: the numbers of docs/operations/deploy.md and of the chart."""

from __future__ import annotations

from gateway.capacity import facts

PRODUCTION_NETWORKS = 4 * facts.GB
"""ONNX files of the networks: microsoft/deberta-xlarge-mnli's 750 million parameters in FP32 are
3 GB; the exported ones of the packages are 0.3 GB together."""
PLANS = 4 * facts.GB
"""As large as the networks at most, each kept once by key."""
CACHES = 4 * facts.GB
"""What vLLM and PyTorch compile, in HOME. An assumption: not measured on a GPU."""
TENANTS = 1200

PARTS = {
    "models": PRODUCTION_NETWORKS,
    "plans": PLANS,
    "imported tenants": TENANTS * facts.TENANT_ON_GPU,
    "vLLM's weights": facts.VLM_WEIGHTS,
    "compiled kernels": CACHES,
    "the diffusion engine's checkpoint": round(2 * sum(facts.DIFFUSION.values())),
}
"""Bytes by what is kept; the last only with the engines `diffusers` and `lightx2v`."""
RESERVE = 1.2
"""A new version of a checkpoint or of tenants lies beside the old one for a while."""


def gibibytes(*, diffusion: bool) -> float:
    """Return what a volume should have."""
    parts = [size for name, size in PARTS.items() if diffusion or not name.startswith("the diff")]
    return RESERVE * sum(parts) / 2**30
