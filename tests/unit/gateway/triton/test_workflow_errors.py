"""Errors of the try-on workflow as Triton passes them on."""

from __future__ import annotations

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from gateway.errors import DeadlineError, InferenceError
from gateway.triton.status import ModelDeadError, RefusedInputError, WorkflowError, to_gateway_error

Code = grpc.StatusCode


def translated(code: grpc.StatusCode, message: str) -> Exception:
    return to_gateway_error(AioRpcError(code, Metadata(), Metadata(), message))


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        (Code.INVALID_ARGUMENT, "pose:Inference: no shoulders", ("pose", "Inference")),
        (Code.INVALID_ARGUMENT, "input:PrepareInputs: not a picture", ("input", "PrepareInputs")),
        (Code.INVALID_ARGUMENT, "garment: none", ("garment", None)),
        (Code.INTERNAL, "pipeline:MyOwnStep: it broke", ("pipeline", "MyOwnStep")),
        (Code.CANCELLED, "cancelled:Inference: as asked", ("cancelled", "Inference")),
        (Code.INTERNAL, "in request 'x' pose:Inference: no", ("pose", "Inference")),
    ],
)
def test_codes_and_steps(
    code: grpc.StatusCode, message: str, expected: tuple[str, str | None]
) -> None:
    found = translated(code, message)
    assert isinstance(found, WorkflowError)
    assert (found.code, found.step) == expected
    assert "shoulders" not in str(found.detail)


def test_what_only_looks_like_one() -> None:
    assert type(translated(Code.INTERNAL, "unexpected input: 'IMAGE'")) is InferenceError
    assert type(translated(Code.INVALID_ARGUMENT, "image_truncated: x")) is RefusedInputError
    assert isinstance(translated(Code.INTERNAL, "pipeline: the engine is dead"), ModelDeadError)
    late = translated(Code.UNAVAILABLE, "timeout:Inference: the deadline has passed")
    assert isinstance(late, DeadlineError | WorkflowError)
