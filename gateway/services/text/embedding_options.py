"""What a request may ask of its vectors: a prompt, where texts are cut, a length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.errors import BadRequestError
from gateway.services.text.catalogue import Entry

InputType = Literal[
    "query",
    "document",
    "passage",
    "search_query",
    "search_document",
    "classification",
    "clustering",
]
"""Words of NVIDIA's and Voyage's APIs, then Cohere's."""
Truncate = Literal["END", "START", "NONE"]
"""What is cut off a text that is too long, in Cohere's and NVIDIA's words; NONE: it is refused."""
_QUERIES = ("query", "search_query")
_DOCUMENTS = ("document", "passage", "search_document", "corpus")
_PROMPTS: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(("query", "search_query"), _QUERIES),
    **dict.fromkeys(("document", "passage", "search_document"), _DOCUMENTS),
}
"""Names that checkpoints give the prompt for a type of input, the usual one first."""


class OptionError(BadRequestError):
    """The model has no such prompt or length of vectors, or a text is longer than it reads.

    Args:
        option: the field.
        detail: what is wrong, and what there is.
    """

    def __init__(self, option: str, detail: str) -> None:
        super().__init__(detail)
        self.option = option


class EmbeddingOptions(NamedTuple):
    """Options as a request gives them.

    Attributes:
        prompt_name: as the checkpoint names it; else the one for ``input_type``, which is none
            where the checkpoint has none; else the checkpoint's default one.
        input_type: one of :data:`InputType`.
        dimensions: length of the vectors; None: the model's own.
        truncate: one of :data:`Truncate`; None: END.
    """

    prompt_name: str | None = None
    input_type: str | None = None
    dimensions: int | None = None
    truncate: str | None = None


PLAIN = EmbeddingOptions()


class Preparation(NamedTuple):
    """What a model's declarations make of options.

    Attributes:
        prompt: put in front of every text.
        dimensions: length that vectors are cut to; None: not at all.
        normalized: whether the model's vectors have unit length.
        truncate: one of :data:`Truncate`.
    """

    prompt: str = ""
    dimensions: int | None = None
    normalized: bool = True
    truncate: str = "END"

    def prompted(self, texts: Sequence[str]) -> Sequence[str]:
        """Return the texts as the model reads them."""
        return [self.prompt + text for text in texts] if self.prompt else texts

    def cut(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the first components, at unit length where the whole vectors have it."""
        if self.dimensions is None:
            return vectors
        cut = vectors[:, : self.dimensions]
        if not self.normalized:
            return np.ascontiguousarray(cut)
        lengths = np.linalg.norm(cut, axis=1, keepdims=True)
        return np.asarray(cut / np.maximum(lengths, np.float32(1e-12)), np.float32)


AS_GIVEN = Preparation()


def prepared(entry: Entry, options: EmbeddingOptions = PLAIN) -> Preparation:
    """Check options before anything is computed.

    Args:
        entry: the model, which has told its facts.
        options: of the request.

    Raises:
        OptionError: the model does not offer them.
    """
    if options == PLAIN and "default_prompt_name" not in entry.model.info:
        return AS_GIVEN  # as most requests are
    prompts, default = prompts_of(entry)
    name = options.prompt_name
    if name is not None and name not in prompts:
        offered = ", ".join(sorted(prompts)) or "it has none"
        raise OptionError("prompt_name", f"prompt_name is not one of this model's: {offered}")
    if name is None and options.input_type is None:
        name = default
    elif name is None:
        names = _PROMPTS.get(options.input_type or "", (options.input_type or "",))
        name = next((candidate for candidate in names if candidate in prompts), None)
    return Preparation(
        prompt=prompts[name] if name is not None else "",
        dimensions=_checked(entry, options.dimensions) if options.dimensions else None,
        normalized=entry.model.info.get("normalized", True),
        truncate=options.truncate or "END",
    )


def too_long(entry: Entry, place: int | None) -> OptionError:
    """Return the error for a text, by its place in the request, that may not be cut."""
    text = "a text" if place is None else f"text {place}"
    most = entry.model.info["max_tokens"]
    return OptionError("truncate", f"{text} has more than the {most} tokens that this model reads")


def prompts_of(entry: Entry) -> tuple[Mapping[str, str], str | None]:
    """Return the prompts by name, and the default's; the configuration's win."""
    info: Mapping[str, Any] = entry.model.info
    declared = info.get("prompts")
    own = entry.settings.prompts
    return ({**declared, **own} if declared else own), info.get("default_prompt_name")


def lengths_of(entry: Entry) -> list[int]:
    """Return the lengths that a model's vectors may have, the whole one last."""
    info: Mapping[str, Any] = entry.model.info
    whole = int(info["dimensions"])
    declared = entry.settings.dimensions or info.get("matryoshka_dimensions") or ()
    return [*(length for length in sorted(declared) if length < whole), whole]


def _checked(entry: Entry, dimensions: int) -> int | None:
    lengths = lengths_of(entry)
    if dimensions not in lengths:
        offered = " or ".join(map(str, lengths))
        raise OptionError("dimensions", f"dimensions must be {offered} for this model")
    return None if dimensions == lengths[-1] else dimensions
