"""What can go wrong, as an HTTP answer: one class per situation, one place that renders them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from starlette.responses import Response

JSON = "application/json"
LONGEST = 4000  # characters of a detail: parts of it may be a client's own words


class GatewayError(Exception):
    """Base of all errors a client may see.

    Attributes:
        status: HTTP status code.
        detail: what the client reads; never internal exception text.
        retry_after: whole seconds for the ``Retry-After`` header, or None.
    """

    status = 500
    reason = "internal"
    default_detail = "Internal server error"

    def __init__(self, detail: Any = None, *, retry_after: int | None = None) -> None:
        self.detail: Any = self.default_detail if detail is None else detail
        if isinstance(self.detail, str) and len(self.detail) > LONGEST:
            self.detail = self.detail[:LONGEST] + "…"
        self.retry_after = retry_after
        super().__init__(self.reason)


class BadRequestError(GatewayError):
    """The request is understood but wrong."""

    status, reason, default_detail = 400, "bad_request", "Bad request"


class InvalidBodyError(GatewayError):
    """The body does not have the documented shape; ``detail`` lists every problem."""

    status, reason, default_detail = 422, "invalid", "Unprocessable request"


class RefusedError(GatewayError):
    """The body has the right shape, but a model cannot make anything of what it holds."""

    status, reason, default_detail = 422, "refused", "Unprocessable input"


class UnauthorizedError(GatewayError):
    """No key, or a wrong one."""

    status, reason, default_detail = 401, "unauthorized", "Unauthorized"


class ForbiddenError(GatewayError):
    """A valid key that does not cover this service."""

    status, reason, default_detail = 403, "forbidden", "This key does not cover this service"


class NotFoundError(GatewayError):
    """What the request names does not exist."""

    status, reason, default_detail = 404, "not_found", "Not Found"


class BodyTooLargeError(GatewayError):
    """The body is over the service's limit."""

    status, reason, default_detail = 413, "too_large", "Request body too large"


class UnsupportedCodingError(GatewayError):
    """The body is compressed in a way that is not read."""

    status, reason = 415, "unsupported_coding"
    default_detail = "Content-Encoding must be gzip, deflate or identity"


class RateLimitedError(GatewayError):
    """The key has used up its rate limit."""

    status, reason, default_detail = 429, "rate_limited", "Rate limit of this key exceeded"


class ClientGoneError(GatewayError):
    """The client went away; the status is for logs and metrics alone."""

    status, reason, default_detail = 499, "client_gone", "Client closed the request"


class InferenceError(GatewayError):
    """The model failed on this request although it is up."""

    status, reason, default_detail = 502, "inference", "The model failed on this request"


class BusyError(GatewayError):
    """More work than slots and queue hold."""

    status, reason, default_detail = 503, "busy", "GPU busy - retry later"


class UnavailableError(GatewayError):
    """Triton or a model is down or still loading."""

    status, reason, default_detail = 503, "unavailable", "Service unavailable - retry later"


class DeadlineError(GatewayError):
    """The request took longer than its deadline."""

    status, reason, default_detail = 504, "deadline", "The request took longer than its deadline"


def headers_of(error: GatewayError) -> dict[str, str]:
    """Return the headers that belong to an error."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, UnauthorizedError):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, UnsupportedCodingError):
        headers["Accept-Encoding"] = "gzip, deflate"
    return headers


Render = Callable[[GatewayError], Response]


def error_response(error: GatewayError) -> Response:
    """Render ``{"detail": …}``, the error body of all documented APIs."""
    body = orjson.dumps({"detail": error.detail})
    return Response(body, error.status, headers_of(error), JSON)
