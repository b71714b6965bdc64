"""Errors in OpenAI's dialect."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from gateway.errors import (
    BadRequestError,
    GatewayError,
    InvalidBodyError,
    NotFoundError,
    headers_of,
)
from gateway.http.answers import answer

TOKENS_GIVEN = (
    "input must be text: token ids of another tokenizer cannot be embedded "
    "(LangChain: check_embedding_ctx_length=False)"
)


class ParameterError(BadRequestError):
    """A value of the body is wrong.

    Args:
        param: the field.
        detail: what is wrong with it.
    """

    def __init__(self, param: str, detail: str) -> None:
        super().__init__(detail)
        self.param = param


class UnknownModelError(NotFoundError):
    """No model of this name is served; OpenAI's clients look for the code."""

    reason = "model_not_found"


def openai_error(error: GatewayError) -> Response:
    """Render an error as OpenAI's clients expect it: a wrong body is 400 there."""
    status, body = openai_problem(error)
    return answer(body, status, headers_of(error))


def openai_problem(error: GatewayError) -> tuple[int, dict[str, Any]]:
    """Return an error's status and body in OpenAI's dialect."""
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    message, status = error.detail, error.status
    param = error.param if isinstance(error, ParameterError) else None
    if isinstance(error, InvalidBodyError):
        status = 400
        message = "; ".join(map(_words, error.detail))
        param = ".".join(map(str, error.detail[0]["loc"][1:])) or None
    if isinstance(error, UnknownModelError):
        param = "model"
    body = {"message": message, "type": kind, "param": param, "code": error.reason}
    return status, {"error": body}


def _words(problem: dict[str, Any]) -> str:
    """Return where a problem is and what it is."""
    where = ".".join(map(str, problem["loc"][1:])) or "body"
    words = f"{where}: {problem['msg']}"
    if problem["type"] == "json_invalid":
        words += f": {problem['ctx']['error']}"
    if problem["type"] == "too_long" and where == "input":
        words += f"; {TOKENS_GIVEN}"  # only those come in such numbers
    return words
