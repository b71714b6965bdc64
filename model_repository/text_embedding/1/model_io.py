"""Requests read, answered and passed on: what every model does in the same way.

Import it before what opens files: the embedded interpreter starts in ASCII, and this ends that.
"""

from __future__ import annotations

import locale
import time
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray
from response_sender import ThreadSafeSender

locale.setlocale(locale.LC_CTYPE, "C.UTF-8")


class QueuedModel:
    """A model whose `execute` only queues: its workers answer, each request as soon as it is done.

    So it is free for the next request at once, and several are under way.

    Attributes:
        messages: See `ThreadSafeSender`.
        codes: Names in `TritonError` by kinds of errors; of all others it is INTERNAL.
    """

    messages: AbstractContextManager[Any] | None = None
    codes: ClassVar[Mapping[type[Exception], str]] = {}

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> None:
        """Queue the requests."""
        for request in requests:
            sender = ThreadSafeSender(request.get_response_sender(), self.messages)
            try:
                self.queue(request, sender)
            except Exception as error:  # raised, it would leak the requests' shared memory
                self.refuse(sender, error)

    def queue(self, request: pb_utils.InferenceRequest, sender: ThreadSafeSender) -> None:
        """Read a request and hand it to the workers; may raise anything."""
        raise NotImplementedError

    def refuse(self, sender: ThreadSafeSender, error: Exception) -> None:
        """Answer with an error."""
        codes = (code for kind, code in self.codes.items() if isinstance(error, kind))
        fail(sender, str(error) or type(error).__name__, next(codes, "INTERNAL"))


def single(request: pb_utils.InferenceRequest, name: str) -> Any:
    """Return the element of an input; None where there is no input, or not one element."""
    array = optional_array(request, name)
    return None if array is None or array.size != 1 else array.reshape(-1)[0]


def elements(request: pb_utils.InferenceRequest, name: str) -> list[Any]:
    """Return the elements of an input, row by row; none where there is no input."""
    array = optional_array(request, name)
    return [] if array is None else list(array.reshape(-1))


def optional_array(request: pb_utils.InferenceRequest, name: str) -> NDArray[Any] | None:
    """Return an input; None where there is none."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return None if tensor is None else tensor.as_numpy()


def deadline(request: pb_utils.InferenceRequest) -> float | None:
    """Return the time of `time.monotonic` when a request's timeout is over; None: it has none."""
    microseconds = request.timeout()
    return time.monotonic() + microseconds / 1e6 if microseconds else None


def strings(*contents: str | bytes) -> NDArray[Any]:
    """Return a BYTES tensor's array of one dimension."""
    encoded = [text.encode() if isinstance(text, str) else text for text in contents]
    return np.array(encoded, dtype=np.object_)


def finish(
    sender: ThreadSafeSender,
    outputs: Mapping[str, NDArray[Any]],
    wanted: Collection[str] | None = None,
) -> None:
    """Send the final response.

    Args:
        sender: Of the request.
        outputs: By name.
        wanted: Names that are sent; None: all.
    """
    _send(sender, _response(outputs, wanted), pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def stream(sender: ThreadSafeSender, outputs: Mapping[str, NDArray[Any]]) -> None:
    """Send a response that others follow."""
    _send(sender, _response(outputs, None), 0)


def fail(sender: ThreadSafeSender, message: str, code: str = "INTERNAL") -> None:
    """Send an error as the final response; `code` is a name in `TritonError`."""
    error = pb_utils.TritonError(message, getattr(pb_utils.TritonError, code))
    response = pb_utils.InferenceResponse(error=error)
    _send(sender, response, pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def call(model: str, inputs: Mapping[str, NDArray[Any]], *outputs: str) -> list[NDArray[Any]]:
    """Call another model and return copies of its outputs; blocks until they are there.

    Raises:
        RuntimeError: It failed.
    """
    response = pb_utils.InferenceRequest(
        model_name=model,
        requested_output_names=outputs,
        inputs=[pb_utils.Tensor(name, array) for name, array in inputs.items()],
        preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
    ).exec()
    if response.has_error():
        raise RuntimeError(f"{model} failed: {response.error().message()}")
    return [_output(response, name) for name in outputs]


def _output(response: pb_utils.InferenceResponse, name: str) -> NDArray[Any]:
    tensor = pb_utils.get_output_tensor_by_name(response, name)
    if tensor is None:
        raise RuntimeError(f"an answer lacks {name}")
    return tensor.as_numpy().copy()


def _response(
    outputs: Mapping[str, NDArray[Any]], wanted: Collection[str] | None
) -> pb_utils.InferenceResponse:
    return pb_utils.InferenceResponse(
        [
            pb_utils.Tensor(name, array)
            for name, array in outputs.items()
            if wanted is None or name in wanted
        ]
    )


def _send(sender: ThreadSafeSender, response: pb_utils.InferenceResponse, flags: int) -> None:
    sender.send(response, flags=flags)
