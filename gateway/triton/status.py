"""One table from Triton's gRPC status to the gateway's errors."""

from __future__ import annotations

import re

import grpc

from gateway.errors import (
    BadRequestError,
    BodyTooLargeError,
    BusyError,
    ClientGoneError,
    DeadlineError,
    GatewayError,
    InferenceError,
    UnavailableError,
)

CRASHES = 2
"""Processes that may end while one inference runs: it may be what ends them."""
RETRY_AFTER = 2  # seconds; a crashed server or reloaded model is back in about that time
_QUEUE_FULL = re.compile(r"maximum queue size|queue is full|too many \w+ are waiting", re.I)
_DEAD = re.compile(r"is not healthy|stub process|engine.{0,20}dead", re.I)
# It is just being loaded again; no request has reached it.
_ABSENT = re.compile(r"has been unloaded|not ready|unknown model|not at ready state", re.I)
# gRPC's own words, at the start, for a connection that could not be made, and for one that broke.
_UNREACHED = re.compile(r"failed to connect|connections to all backends failing", re.I)
_BROKEN = re.compile(
    r"stream removed|(recv|send)msg|socket closed|connection reset|broken pipe|endpoint clos"
    r"|fd shutdown|keepalive|ping timeout|(received )?(goaway|rst_stream)",
    re.I,
)
# A region of the backend for Python that cannot grow.
_NO_ROOM = re.compile(r"shared memory pool|no space left on device", re.I)
# A model's own deadline: Triton's error codes for models have none for it.
_LATE = re.compile(r"the deadline has passed", re.I)
_RESTRICTED = re.compile(r"protocol is restricted", re.I)
# Pentad's models begin the refusal of an input with a code, e.g. "image_truncated: ...".
_REFUSAL = re.compile(r"\b([a-z]+(?:_[a-z]+)+): ")
# A model's own word about another one that it asked.
_OTHER_AWAY = re.compile(r"\b[a-z]+_unavailable: ")
_INDEX = re.compile(r"\bindex=(\d+)")
# A tenant that cannot be served now is told apart from a Triton that cannot be reached.
_TENANT = re.compile(r"\b(tenant(?:_[a-z]+)+): ")
# A step of the try-on workflow that failed, e.g. "pose:Inference: no shoulders".
_CODES = r"(input|pose|garment|pipeline|cancelled|timeout)"
_STEP = re.compile(rf"(?:^|\s){_CODES}:([A-Z]\w{{0,63}}): |^{_CODES}: ")
_NO_REGION = re.compile(r"unable to find \w*\s?shared memory region", re.I)
# Triton's words from release 26.04 on; the second where its front end runs inside another program.
_NO_CLIENT_MEMORY = re.compile(
    r"client shared memory is disabled|shared memory is not supported in this server", re.I
)
_MODEL = re.compile(r"[Ss]tub process '([\w.-]+?)_\d+_\d+'")
_STOPPING = re.compile(r"stopped accepting|server is stopping", re.I)

_IN_BAND = None  # what a stream says has no status
_UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, _IN_BAND)
_REFUSING = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, _IN_BAND)
_OF_CONNECTIONS = (  # gRPC itself says so of a stream that the other end has reset
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
)
_OF_WORKFLOWS = (
    _IN_BAND,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNAVAILABLE,
)
_TABLE: dict[grpc.StatusCode, type[GatewayError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InferenceError,  # the gateway validates before it calls
    grpc.StatusCode.NOT_FOUND: UnavailableError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: BodyTooLargeError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
    grpc.StatusCode.CANCELLED: ClientGoneError,
    grpc.StatusCode.INTERNAL: InferenceError,
    grpc.StatusCode.UNKNOWN: InferenceError,
}


class LostError(UnavailableError):
    """A request went unanswered because a process ended, not because of what it asked.

    Attributes:
        ran: whether the model may have begun with it; then it may be what ended the process.
    """

    def __init__(self, *, ran: bool) -> None:
        self.ran = ran
        super().__init__(retry_after=RETRY_AFTER)


class ServerGoneError(LostError):
    """The connection to Triton could not be made, or broke."""


class ModelDeadError(LostError):
    """A model whose process died: it fails every request until it is loaded again.

    Attributes:
        model: its name when Triton's message tells it, else None.
    """

    def __init__(self, model: str | None, *, ran: bool = True) -> None:
        self.model = model
        super().__init__(ran=ran)


class NeededModelError(UnavailableError):
    """A model that the one that was asked asks in turn is down; whose fault it is, is known."""


class NoRoomError(UnavailableError):
    """Triton's shared memory cannot grow: /dev/shm is full."""


class AdminKeyError(UnavailableError):
    """Triton's model-repository API wants another key than ``triton.admin_key``."""


class RegionUnknownError(UnavailableError):
    """Triton does not know a shared memory region, e.g. because it has been started again."""


class MemoryRefusedError(UnavailableError):
    """Triton lets no client use shared memory: it was started without `--allow-client-shm=true`."""


NO_FAULT = (NeededModelError, NoRoomError, RegionUnknownError)
"""Unavailable, though the model that was asked works."""


class RefusedInputError(BadRequestError):
    """A model refuses one request's input.

    Attributes:
        code: which reason of the model's documented ones; the API module has words for it.
        index: which item of the input it is about, None when the model does not say.
    """

    def __init__(self, code: str, index: int | None = None) -> None:
        self.code = code
        self.index = index
        super().__init__("The model refuses this input")


class WorkflowError(InferenceError):
    """A step of a model's workflow failed.

    Attributes:
        code: why, of the model's documented codes.
        step: which step, None where the model does not say.
    """

    def __init__(self, code: str, step: str | None = None) -> None:
        self.code = code
        self.step = step
        super().__init__()


def to_gateway_error(error: grpc.RpcError) -> GatewayError:
    """Translate a failed call; Triton's message decides but is never passed on."""
    return _translated(error.code(), error.details() or "")


def in_band_error(message: str) -> GatewayError:
    """Translate an error that a stream carries as a message, which Triton gives no status."""
    return _translated(_IN_BAND, message)


def _translated(code: grpc.StatusCode | None, message: str) -> GatewayError:
    if code in _UNAVAILABLE and _QUEUE_FULL.search(message):
        return BusyError(retry_after=RETRY_AFTER)
    if code in _UNAVAILABLE and _LATE.search(message):
        return DeadlineError()
    if _RESTRICTED.search(message):
        return AdminKeyError(retry_after=RETRY_AFTER)
    if _NO_CLIENT_MEMORY.search(message):
        return MemoryRefusedError(retry_after=RETRY_AFTER)
    if code is not grpc.StatusCode.CANCELLED and (lost := _lost(code, message)):
        return lost
    if _NO_ROOM.search(message):
        return NoRoomError(retry_after=RETRY_AFTER)
    if code in _OF_WORKFLOWS and (failed := _STEP.search(message)):
        return WorkflowError(failed.group(1) or failed.group(3), failed.group(2))
    if _NO_REGION.search(message):
        return RegionUnknownError(retry_after=RETRY_AFTER)
    if code in _UNAVAILABLE and (refusal := _TENANT.search(message)):
        return RefusedInputError(refusal.group(1))
    if code in _REFUSING and (refusal := _REFUSAL.search(message)):
        index = _INDEX.search(message)
        return RefusedInputError(refusal.group(1), int(index.group(1)) if index else None)
    kind = InferenceError if code is _IN_BAND else _TABLE.get(code, InferenceError)
    return kind(retry_after=RETRY_AFTER if issubclass(kind, UnavailableError) else None)


def _lost(code: grpc.StatusCode | None, message: str) -> LostError | None:
    """Return the error of a process that ended, None where the message tells of none."""
    if _OTHER_AWAY.search(message):
        return None
    if (dead := _DEAD.search(message)) or _ABSENT.search(message):
        match = _MODEL.search(message)
        return ModelDeadError(match.group(1) if match else None, ran=bool(dead))
    if code in _UNAVAILABLE and _STOPPING.search(message):
        return ServerGoneError(ran=False)
    if code in _OF_CONNECTIONS:
        if _UNREACHED.match(message):
            return ServerGoneError(ran=False)
        if _BROKEN.match(message):
            return ServerGoneError(ran=True)
    return None
