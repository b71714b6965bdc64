"""Splits a request into the pieces by which its progress is counted."""

from __future__ import annotations

MAX_ROWS = 128  # max_batch_size of text_embedding and bertscore


def split(count: int, rows: int) -> list[slice]:
    """Return consecutive slices of at most ``rows`` items that cover ``count`` items."""
    return [slice(start, min(start + rows, count)) for start in range(0, count, rows)]
