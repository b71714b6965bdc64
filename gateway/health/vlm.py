"""The canary of the model `vlm`, which several services ask through models of their own."""

from __future__ import annotations

import json
from typing import Any

from gateway.triton import Tensor, TritonPort
from gateway.triton.tensors import bytes_tensor

SIDE = 64  # pixels; a video model wants two frames
_FRAMES = Tensor("UINT8", (2, SIDE, SIDE, 3), bytes(2 * SIDE * SIDE * 3))
_TIMESTAMPS = Tensor("FP32", (2,), bytes(4) + b"\0\0\x80?")  # 0.0 and 1.0 s
_OPTIONS = json.dumps(
    {"max_tokens": 1, "temperature": 0, "thinking_budget": 0, "canary": True}
).encode()


async def vlm_canary(triton: TritonPort, model: str, timeout: float) -> dict[str, Any]:
    """Generate one token about two black frames and return the model's MODEL_INFO.

    While the model generates for others, a step of theirs takes the place of the token: a canary
    that waits behind long answers must not count against an engine that is busy with them.
    """
    reply = await triton.infer(
        model,
        {
            "FRAMES": _FRAMES,
            "TIMESTAMPS": _TIMESTAMPS,
            "PROMPT": bytes_tensor([b"Describe."], rows=False),
            "OPTIONS": bytes_tensor([_OPTIONS], rows=False),
        },
        ("TEXT", "MODEL_INFO"),
        timeout=timeout,
    )
    return dict(json.loads(reply["MODEL_INFO"].flat[0]))
