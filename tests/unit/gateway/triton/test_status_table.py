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
    LostError,
    ModelDeadError,
    NoRoomError,
    RefusedInputError,
    RegionUnknownError,
    ServerGoneError,
    WorkflowError,
    in_band_error,
    to_gateway_error,
)

Code = grpc.StatusCode
STUB = (
    "Failed to process the request(s) for model instance 'm_0_1', "
    "message: Stub process 'm_0_1' is not healthy."
)
NO_ROOM = (
    "Failed to increase the shared memory pool size for key 'x' to 1 bytes. If you are running "
    "Triton inside docker, use '--shm-size' flag. Error: No space left on device"
)


@pytest.mark.parametrize(
    ("code", "message", "kind", "status"),
    [
        (Code.UNAVAILABLE, "failed to connect to all addresses", ServerGoneError, 503),
        (Code.UNAVAILABLE, "Stream removed (Socket closed)", ServerGoneError, 503),
        (Code.UNAVAILABLE, "recvmsg:Connection reset by peer", ServerGoneError, 503),
        (Code.UNAVAILABLE, "keepalive watchdog timeout", ServerGoneError, 503),
        (Code.INTERNAL, "Received RST_STREAM with error code 2", ServerGoneError, 503),
        (Code.UNKNOWN, "Stream removed", ServerGoneError, 503),
        (Code.UNAVAILABLE, "scheduler for 'm' has stopped accepting", ServerGoneError, 503),
        (Code.INTERNAL, "the model says: socket closed", InferenceError, 502),
        (Code.INTERNAL, NO_ROOM, NoRoomError, 503),
        (Code.INTERNAL, "posix_fallocate: No space left on device", NoRoomError, 503),
        (Code.UNAVAILABLE, "Exceeds maximum queue size", BusyError, 503),
        (Code.UNAVAILABLE, "text_embedding: too many texts are waiting", BusyError, 503),
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
        (Code.INVALID_ARGUMENT, f"vlm_unavailable: {STUB}", RefusedInputError, 400),
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
    ("message", "ran"),
    [
        ("failed to connect to all addresses; last error: refused", False),
        ("'x' version 1 is not at ready state", False),
        ("Server is stopping, it has stopped accepting", False),
        ("Stream removed (sendmsg: Connection reset by peer (104))", True),
        (STUB, True),
    ],
)
def test_a_lost_request_tells_whether_it_may_have_run(message: str, ran: bool) -> None:
    error = to_gateway_error(AioRpcError(Code.UNAVAILABLE, Metadata(), Metadata(), message))
    assert isinstance(error, LostError)
    assert error.ran is ran


@pytest.mark.parametrize(
    ("message", "kind", "status"),
    [
        ("the model's queue is full", BusyError, 503),
        ("timeout:Inference: the deadline has passed", DeadlineError, 504),
        ("pose:Inference: no shoulders", WorkflowError, 502),
        ("Request for unknown model: 'x' is not found", ModelDeadError, 503),
        ("Server is stopping, scheduler for model has stopped accepting", ServerGoneError, 503),
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
