"""The tokens of texts, in the shapes of text-embeddings-inference and of vLLM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.large_work import rest, worked

LARGER = 4
"""Bytes of the answer for one that the model has told."""


@dataclass(frozen=True)
class Tokenized:
    """A text's tokens, none of them cut off; lists of one length.

    Attributes:
        text: as it was given.
        ids: in the model's vocabulary.
        tokens: as they are there.
        special: 1 where the tokenizer has added it, else 0.
        starts: first character of each, in code points.
        stops: behind its last one.
    """

    text: str
    ids: Sequence[int]
    tokens: Sequence[str]
    special: Sequence[int]
    starts: Sequence[int]
    stops: Sequence[int]

    def places(self, *, special: bool) -> list[int]:
        """Return the places of all tokens, or of those that the text itself has."""
        return [at for at, added in enumerate(self.special) if special or not added]

    def as_json(self, *, special: bool) -> list[dict[str, Any]]:
        """Return the tokens as text-embeddings-inference tells them."""
        return [self._token(at) for at in self.places(special=special)]

    def _token(self, at: int) -> dict[str, Any]:
        added = bool(self.special[at])
        start, stop = (None, None) if added else (self.starts[at], self.stops[at])
        text = self.tokens[at] if added else self.text[start:stop]
        token = {"id": self.ids[at], "text": text, "special": added}
        return token | {"start": start, "stop": stop}


def tokenized(text: str, listed: bytes) -> Tokenized:
    """Return what a model's output ``TOKENS`` tells of a text."""
    return Tokenized(text, **orjson.loads(listed))


async def listing(
    texts: Sequence[str], listed: Sequence[bytes], *, special: bool
) -> list[orjson.Fragment]:
    """Return each text's tokens as :meth:`Tokenized.as_json`, as JSON that is written already."""
    return await worked(LARGER * sum(map(len, listed)), _written, texts, listed, special)


def _written(texts: Sequence[str], listed: Sequence[bytes], special: bool) -> list[orjson.Fragment]:
    written = []
    for text, raw in zip(texts, listed, strict=True):
        tokens = tokenized(text, raw).as_json(special=special)
        written.append(orjson.Fragment(orjson.dumps(tokens)))
        rest()
    return written
