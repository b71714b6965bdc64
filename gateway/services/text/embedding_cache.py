"""Vectors of texts that have been embedded before, least recently used ones leaving first."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.services.text.catalogue import Entry
from gateway.telemetry.metrics import Metrics

OVERHEAD = 400
"""Bytes of an entry beside its vector: key, record, their places in the table. 293 by tracemalloc
with 20,000 entries (Python 3.11); the rest is for the allocator."""
Key = bytes


@dataclass(frozen=True)
class Embedded:
    """What is kept of a text.

    Attributes:
        vector: whole, float32.
        tokens: that the model read.
    """

    vector: bytes
    tokens: int

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.vector) + OVERHEAD


class EmbeddingCache:
    """Bounded by bytes; belongs to the event loop.

    Args:
        most: bytes.
        metrics: told of hits, misses and bytes.
    """

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most = most
        self._metrics = metrics
        self._entries: OrderedDict[Key, Embedded] = OrderedDict()
        self.size = 0

    def keys(self, texts: Sequence[str], entry: Entry, truncate: str) -> list[Key]:
        """Return the keys of texts as the model reads them: with prompts, and cut as asked for.

        A model's weights are part of it: another version's vectors are never embedded.
        """
        sha256 = entry.model.info.get("sha256", "")
        before = f"{entry.model.triton_model} {sha256} {truncate} ".encode()
        return [hashlib.blake2b(before + text.encode(), digest_size=32).digest() for text in texts]

    def lookup(self, keys: Sequence[Key], entry: Entry) -> dict[Key, Embedded]:
        """Return what is kept of these, and count hits and misses."""
        embedded = {key: self._entries[key] for key in keys if key in self._entries}
        for key in embedded:
            self._entries.move_to_end(key)
        hits = sum(key in embedded for key in keys)
        model = entry.model.triton_model
        for outcome, count in (("hit", hits), ("miss", len(keys) - hits)):
            if count:
                self._metrics.cached_texts.labels(model, outcome).inc(count)
        return embedded

    def keep(self, key: Key, embedded: Embedded) -> None:
        """Keep a text's vector, and let others go for it."""
        old = self._entries.pop(key, None)
        self.size -= old.size if old else 0
        if embedded.size <= self._most:
            self._entries[key] = embedded
            self.size += embedded.size
        while self.size > self._most:
            _, least = self._entries.popitem(last=False)
            self.size -= least.size
        self._metrics.cached_bytes.set(self.size)


def gathered(keys: Sequence[Key], embedded: dict[Key, Embedded]) -> tuple[NDArray[np.float32], int]:
    """Return the vectors of all keys, float32 [len(keys), dimensions], and the sum of tokens."""
    rows = [embedded[key] for key in keys]
    vectors = np.frombuffer(b"".join(row.vector for row in rows), np.float32)
    return vectors.reshape(len(rows), -1), sum(row.tokens for row in rows)
