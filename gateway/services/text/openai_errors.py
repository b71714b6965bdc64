"""Errors in OpenAI's dialect, and the texts of its requests."""

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

MAX_INPUTS = 2048  # OpenAI's own limit of texts per request
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
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    message, status = error.detail, error.status
    param = error.param if isinstance(error, ParameterError) else None
    if isinstance(error, InvalidBodyError):
        status = 400
        message = "; ".join(map(_words, error.detail))
        param = ".".join(map(str, error.detail[0]["loc"][1:])) or None
    if isinstance(error, UnknownModelError):
        param = "model"
    body = {"error": {"message": message, "type": kind, "param": param, "code": error.reason}}
    return answer(body, status, headers_of(error))


def _words(problem: dict[str, Any]) -> str:
    """Return where a problem is and what it is."""
    where = ".".join(map(str, problem["loc"][1:])) or "body"
    words = f"{where}: {problem['msg']}"
    if problem["type"] == "json_invalid":
        words += f": {problem['ctx']['error']}"
    if problem["type"] == "too_long" and where == "input":
        words += f"; {TOKENS_GIVEN}"  # only those come in such numbers
    return words


def texts_of(field: str, value: Any, characters: int, most: int = MAX_INPUTS) -> list[str]:
    """Return what a request gives as a text or a list of texts as a list.

    Args:
        field: its name in the body, for the words of the error.
        value: what is there.
        characters: most of them (code points) in a text.
        most: texts.

    Raises:
        ParameterError: it is something else, empty, or too much.
    """
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list):
        raise ParameterError(field, f"{field} must be a text or a list of texts")
    if not texts:
        raise ParameterError(field, f"{field} must not be empty")
    for index, text in enumerate(texts):
        if isinstance(text, int | list) and field == "input":
            raise ParameterError(field, TOKENS_GIVEN)
        if not isinstance(text, str):
            raise ParameterError(field, f"{field}[{index}] must be a text")
        if len(text) > characters:
            raise ParameterError(
                field, f"{field}[{index}] has {len(text)} characters, the limit is {characters}"
            )
    if len(texts) > most:
        raise ParameterError(field, f"{field} has {len(texts)} items, the limit is {most}")
    return texts
