"""Splits a request into pieces that Triton may interleave with other requests."""

from __future__ import annotations

from collections.abc import Sequence

MAX_ROWS = 128  # max_batch_size of text_embedding and bertscore
INTERACTIVE, BULK = 1, 2  # Triton priority levels of both models
INTERACTIVE_CHARACTERS = 4096  # a request up to this size goes before the chunks of larger ones


def split(
    sizes: Sequence[int], order: Sequence[int], rows: int, characters: int
) -> list[list[int]]:
    """Return index lists of at most ``rows`` items and about ``characters`` characters.

    Args:
        sizes: characters of each item.
        order: all indices, in the order in which they should be grouped.
        rows: most items in a chunk.
        characters: most characters in a chunk; a single longer item is a chunk of its own.
    """
    chunks: list[list[int]] = []
    used = 0
    for index in order:
        size = sizes[index]
        if not chunks or len(chunks[-1]) >= rows or used + size > characters:
            chunks.append([])
            used = 0
        chunks[-1].append(index)
        used += size
    return chunks


def by_length(texts: Sequence[str]) -> list[int]:
    """Return indices by text length: equal lengths need no padding, and short ones go first."""
    return sorted(range(len(texts)), key=lambda index: len(texts[index]))


def by_content(pairs: Sequence[tuple[str, str]]) -> list[int]:
    """Return indices such that repeated sentences meet in one chunk and are encoded once."""
    return sorted(range(len(pairs)), key=lambda index: (pairs[index][1], pairs[index][0]))
