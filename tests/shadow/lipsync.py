"""Lip-sync's part: the same gRPC calls to both servers, with the old clients' stubs."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np

from tests.shadow.compare import Difference, Rules, tell, vector
from tests.support.lipsync_protos import OldClient

SERVICE = "lipsync"
TENANTS = 5  # of those that both servers have, so many infer
SECONDS = 120.0
_LIMIT = 128 * 2**20
_OPTIONS = [("grpc.max_receive_message_length", _LIMIT), ("grpc.max_send_message_length", _LIMIT)]


Server = tuple[str, dict[str, str]]


def replay(old: Server, new: Server, dialect: int, rules: Rules) -> tuple[int, int, int]:
    """Ask both servers, print what differs, and count.

    Args:
        old: host:port, and headers of every call.
        new: the same.
        dialect: 1 or 2, which of the documented ones both are asked in.
        rules: how equal the mouths must be.

    Returns:
        Requests whose shape differs, of which only values do, and all.
    """
    with (
        grpc.insecure_channel(old[0], options=_OPTIONS) as first,
        grpc.insecure_channel(new[0], options=_OPTIONS) as second,
    ):
        clients = OldClient(first, dialect, old[1]), OldClient(second, dialect, new[1])
        try:
            outcomes = _outcomes(*clients, rules)
        except grpc.RpcError as error:
            found = [Difference("shape", "", f"a server answers {error.code().name}")]
            outcomes = [tell("ListModels", found)]
    return outcomes.count("SHAPE"), outcomes.count("value"), len(outcomes)


def _outcomes(old: Any, new: Any, rules: Rules) -> list[str]:
    listed = []
    for client in (old, new):
        models = client.ListModels(client.messages.ListModelsRequest(), timeout=SECONDS).models
        listed.append({model.model_id for model in models})
    lacking = sorted(listed[0] - listed[1])
    found = [Difference("shape", "models", f"{', '.join(lacking)} missing")] if lacking else []
    outcomes = [tell("ListModels", found)]
    for tenant in sorted(listed[0] & listed[1])[:TENANTS]:
        request = f"InferBatch {tenant}"
        try:
            outcomes.append(tell(request, _mouths(old, new, tenant, rules)))
        except grpc.RpcError as error:
            words = f"a server answers {error.code().name}"
            outcomes.append(tell(request, [Difference("shape", "", words)]))
    return outcomes


def _mouths(old: Any, new: Any, tenant: str, rules: Rules) -> list[Difference]:
    """Compare two frames of a tenant; the frames are noise, the same for both servers."""
    noise = np.random.default_rng(0)
    fields = {
        "model_id": tenant,
        "visual_frames": noise.random((2, 6, 320, 320), np.float32).tobytes(),
        "audio_features": noise.random((32, 16, 16), np.float32).tobytes(),
        "batch_size": 2,
    }
    answers = [
        client.InferBatch(client.messages.InferBatchRequest(**fields), timeout=SECONDS)
        for client in (old, new)
    ]
    success = [answer.success for answer in answers]
    if success[0] != success[1]:
        return [Difference("shape", "success", f"{success[0]} became {success[1]}")]
    sizes = [[len(output.data) for output in answer.outputs] for answer in answers]
    if sizes[0] != sizes[1]:
        return [Difference("shape", "outputs", f"bytes {sizes[0]} became {sizes[1]}")]
    found: list[Difference] = []
    for place, (one, other) in enumerate(zip(*(a.outputs for a in answers), strict=True)):
        pair = np.frombuffer(one.data, "<f4"), np.frombuffer(other.data, "<f4")
        found += vector(*pair, f"outputs[{place}]", rules)
    return found
