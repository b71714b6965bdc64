"""From Triton's gRPC status to the gateway's errors."""

from __future__ import annotations

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from gateway.errors import (
    BusyError,
    ClientGoneError,
    DeadlineError,
    GatewayError,
    InferenceError,
    UnavailableError,
)
from gateway.triton.status import (
    AdminKeyError,
    ModelDeadError,
    RefusedInputError,
    RegionUnknownError,
    WorkflowError,
    in_band_error,
    to_gateway_error,
)

Code = grpc.StatusCode
STUB = (
    "Failed to process the request(s) for model instance 'm_0_1', "
    "message: Stub process 'm_0_1' is not healthy."
)


@pytest.mark.parametrize(
    ("code", "message", "kind", "status"),
    [
        (Code.UNAVAILABLE, "failed to connect to all addresses", UnavailableError, 503),
        (Code.UNAVAILABLE, "Exceeds maximum queue size", BusyError, 503),
        (Code.UNAVAILABLE, "vlm: the deadline has passed", DeadlineError, 504),
        (Code.NOT_FOUND, "Request for unknown model: 'x' is not found", ModelDeadError, 503),
        (Code.UNAVAILABLE, "'x' version 1 is not at ready state", ModelDeadError, 503),
        (Code.DEADLINE_EXCEEDED, "Deadline Exceeded", DeadlineError, 504),
        (Code.CANCELLED, "", ClientGoneError, 499),
        (Code.INTERNAL, "onnx runtime error 2: /secret/path", InferenceError, 502),
        (Code.INTERNAL, STUB, ModelDeadError, 503),
        (Code.INVALID_ARGUMENT, "unexpected shape", InferenceError, 502),
        (Code.INVALID_ARGUMENT, "image_truncated: ends early", RefusedInputError, 400),
        (Code.NOT_FOUND, "tenant_not_loaded: 'a'", RefusedInputError, 400),
        (Code.UNAVAILABLE, "tenant_out_of_memory: 'a'", RefusedInputError, 400),
        (Code.UNAVAILABLE, "load_balancer: no address", UnavailableError, 503),
        (Code.UNAVAILABLE, "the deadline has passed", DeadlineError, 504),
        (Code.NOT_FOUND, "Unable to find shared memory region: 'r'", RegionUnknownError, 503),
        (
            Code.NOT_FOUND,
            "Unable to find system shared memory region: 'r'",
            RegionUnknownError,
            503,
        ),
        (Code.UNAVAILABLE, "This protocol is restricted, expecting header 'k'", AdminKeyError, 503),
        (Code.DATA_LOSS, "?", InferenceError, 502),
    ],
)
def test_table(code: Code, message: str, kind: type[GatewayError], status: int) -> None:
    error = to_gateway_error(AioRpcError(code, Metadata(), Metadata(), message))
    assert type(error) is kind
    assert error.status == status
    assert "/secret" not in str(error.detail) + str(error)
    if status == 503:
        assert error.retry_after


def test_the_dead_model_is_named() -> None:
    error = to_gateway_error(AioRpcError(Code.INTERNAL, Metadata(), Metadata(), STUB))
    assert isinstance(error, ModelDeadError)
    assert error.model == "m"


@pytest.mark.parametrize(
    ("message", "kind", "status"),
    [
        ("the model's queue is full", BusyError, 503),
        ("timeout:Inference: the deadline has passed", DeadlineError, 504),
        ("pose:Inference: no shoulders", WorkflowError, 502),
        ("Request for unknown model: 'x' is not found", ModelDeadError, 503),
        ("Server is stopping, scheduler for model has stopped accepting", UnavailableError, 503),
        ("image_truncated: ends early", RefusedInputError, 400),
        ("unexpected shape for /secret/path", InferenceError, 502),
        (STUB, ModelDeadError, 503),
    ],
)
def test_what_a_stream_says_without_a_status(
    message: str, kind: type[GatewayError], status: int
) -> None:
    error = in_band_error(message)
    assert type(error) is kind
    assert error.status == status
    assert "/secret" not in str(error.detail) + str(error)
