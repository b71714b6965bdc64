"""The old text server's way, as the baseline: library calls in threads behind a semaphore of 2.

    python -m load_tests.peers.naive_text --checkpoint DIR --port PORT [--slot-wait SECONDS]

One FastAPI process; `/bertscore` and `/embed` call bert-score and sentence-transformers in a
thread while they hold one of two slots. The old server answers 503 when no slot is free within
one second. With 32 clients nearly every answer would be that, so benchmarks pass
``--slot-wait inf``: clients then wait for a slot and every request is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from bert_score import BERTScorer
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field
from sentence_transformers import SentenceTransformer

SLOTS = 2
CHUNK = 32
LAYER = 6


class EmbedRequest(BaseModel):
    """Body of `/embed`."""

    texts: list[str] = Field(max_length=100)
    model: str = "all-MiniLM-L6-v2"


class BertScoreRequest(BaseModel):
    """Body of `/bertscore`."""

    candidates: list[str] = Field(max_length=100)
    references: list[str] = Field(max_length=100)
    lang: str = "en"
    model_type: str = "all-MiniLM-L6-v2"


class OldServer:
    """Both models and the two slots."""

    def __init__(self, checkpoint: Path, slot_wait: float) -> None:
        self._embedder = SentenceTransformer(str(checkpoint), device="cpu")
        self._scorer = BERTScorer(model_type=str(checkpoint), num_layers=LAYER, device="cpu")
        self._slots = asyncio.Semaphore(SLOTS)
        self._slot_wait = None if math.isinf(slot_wait) else slot_wait

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one of the slots.

        Raises:
            HTTPException: 503, none was free in time.
        """
        try:
            await asyncio.wait_for(self._slots.acquire(), self._slot_wait)
        except asyncio.TimeoutError:
            detail = "GPU busy - retry later"
            raise HTTPException(503, detail, headers={"Retry-After": "5"}) from None
        try:
            yield
        finally:
            self._slots.release()

    async def embed(self, texts: list[str]) -> list[list[float]]:
        """Return one vector of 384 floats per text."""
        vectors: list[list[float]] = []
        for start in range(0, len(texts), CHUNK):
            part = texts[start : start + CHUNK]
            encoded = await asyncio.to_thread(
                self._embedder.encode, part, batch_size=CHUNK, convert_to_numpy=True
            )
            vectors += encoded.tolist()
        return vectors

    async def score(self, candidates: list[str], references: list[str]) -> list[list[float]]:
        """Return precision, recall and F1, each with one float per pair."""
        scores = await asyncio.to_thread(self._scorer.score, candidates, references)
        return [part.tolist() for part in scores]


def build_app(checkpoint: Path, slot_wait: float) -> FastAPI:
    """Return the application; models load before it accepts requests."""
    state: dict[str, OldServer] = {}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        state["server"] = OldServer(checkpoint, slot_wait)
        yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "device": "cpu"}

    @app.post("/embed")
    async def embed(request: EmbedRequest) -> dict[str, object]:
        async with state["server"].slot():
            vectors = await state["server"].embed(request.texts)
        dimensions = len(vectors[0]) if vectors else 0
        return {"embeddings": vectors, "model": request.model, "dimensions": dimensions}

    @app.post("/bertscore")
    async def bertscore(request: BertScoreRequest) -> dict[str, object]:
        if len(request.candidates) != len(request.references):
            raise HTTPException(400, "candidates and references must have equal length")
        async with state["server"].slot():
            precision, recall, f1 = await state["server"].score(
                request.candidates, request.references
            )
        return {"precision": precision, "recall": recall, "f1": f1, "model": request.model_type}

    return app


def main() -> None:
    """Serve on the loopback."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slot-wait", type=float, default=1.0, help="seconds; inf: no limit")
    args = parser.parse_args()
    app = build_app(args.checkpoint, args.slot_wait)
    uvicorn.run(app, host="127.0.0.1", port=args.port, log_level="warning")


if __name__ == "__main__":
    main()
