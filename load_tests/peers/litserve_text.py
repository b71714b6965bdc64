"""LitServe with batching across requests, the second peer. Runs in ``.venv-litserve``.

python -m load_tests.peers.litserve_text --checkpoint DIR --port PORT
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import litserve
import orjson
import torch
from fastapi import Response
from sentence_transformers import SentenceTransformer

EMBED_BATCH = 32


class Embedding(litserve.LitAPI):
    """`/embed`: the texts of all batched requests are encoded in one call, sorted by length."""

    def __init__(self, checkpoint: Path, threads: int, **settings: Any) -> None:
        super().__init__(api_path="/embed", **settings)
        self._checkpoint = checkpoint
        self._threads = threads

    def setup(self, device: str) -> None:
        """Load the model in the worker."""
        torch.set_num_threads(self._threads)
        self._model = SentenceTransformer(str(self._checkpoint), device="cpu")

    # LitServe reads the annotation of `request`: without one it passes the parsed JSON.
    def decode_request(self, request) -> list[str]:  # type: ignore[no-untyped-def]
        """Return one request's texts."""
        texts: list[str] = request["texts"]
        return texts

    def batch(self, inputs: list[list[str]]) -> list[list[str]]:
        """Keep the requests apart; ``predict`` joins them."""
        return inputs

    def predict(self, requests: list[list[str]]) -> list[Any]:
        """Return one array [texts, 384] per request."""
        texts = [text for request in requests for text in request]
        vectors = self._model.encode(texts, batch_size=EMBED_BATCH, show_progress_bar=False)
        parts, start = [], 0
        for request in requests:
            parts.append(vectors[start : start + len(request)])
            start += len(request)
        return parts

    def unbatch(self, output: list[Any]) -> list[Any]:
        """Return the requests' arrays as they are."""
        return output

    def encode_response(self, output: Any) -> Response:
        """Serialise with orjson; FastAPI's encoder walks every float in Python."""
        answer = {"embeddings": output, "model": "all-MiniLM-L6-v2", "dimensions": 384}
        body = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(body, media_type="application/json")


def main() -> None:
    """Serve on the loopback. The defaults are the fastest settings found on 2 cores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--max-batch-size", type=int, default=32, help="requests")
    parser.add_argument("--batch-timeout", type=float, default=0.005, help="seconds")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="torch threads per worker")
    args = parser.parse_args()
    api = Embedding(
        args.checkpoint,
        args.threads,
        max_batch_size=args.max_batch_size,
        batch_timeout=args.batch_timeout,
    )
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=args.workers, fast_queue=True, timeout=300
    )
    server.run(host="127.0.0.1", port=args.port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
