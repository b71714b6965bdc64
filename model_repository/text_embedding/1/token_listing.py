"""What `/tokenize` tells of a text: its tokens, and where in it each is. No Triton."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any


class TokenLister:
    """Lists all tokens of texts, also those behind the model's longest sequence.

    Args:
        tokenizer: `tokenizer.json`; read when first needed, as most models are never asked.
    """

    def __init__(self, tokenizer: Path) -> None:
        self._path = tokenizer

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self._path))

    def listed(self, texts: Sequence[str]) -> list[bytes]:
        """Return for each text JSON with lists of one length.

        `ids`, `tokens` (as in the vocabulary), `special` (1: added by the tokenizer, else 0),
        `starts` and `stops` (its characters, in code points).
        """
        return [
            json.dumps(
                {
                    "ids": item.ids,
                    "tokens": item.tokens,
                    "special": item.special_tokens_mask,
                    "starts": [start for start, _ in item.offsets],
                    "stops": [stop for _, stop in item.offsets],
                },
                separators=(",", ":"),
            ).encode()
            for item in self._tokenizer.encode_batch(list(texts))
        ]
