"""The texts of requests in OpenAI's dialect, and the model that they name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.errors import BadRequestError
from gateway.http.openai_errors import TOKENS_GIVEN, ParameterError, UnknownModelError
from gateway.services.text.catalogue import Entry

MAX_INPUTS = 2048  # OpenAI's own limit of texts per request


def entry_of(find: Callable[[str], Entry], name: str | None) -> Entry:
    """Return what ``find`` has of a model's name; None: the default one.

    Raises:
        UnknownModelError: it has none.
    """
    try:
        return find(name or "")
    except BadRequestError as error:
        raise UnknownModelError(error.detail) from None


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
