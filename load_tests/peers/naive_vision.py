"""The old vision server's way, as the baseline: torch eager inside the request, blocking.

    python -m load_tests.peers.naive_vision --cache DIR --port PORT

One FastAPI process; decoding, transform and network run in the `async` handler itself, one
picture at a time, as the replaced server did.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import uvicorn
from fastapi import FastAPI, HTTPException, UploadFile

from load_tests.peers.torch_classifier import TorchClassifier


def build_app(classifier: TorchClassifier) -> FastAPI:
    """Return the application."""
    app = FastAPI()

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/infer")
    async def infer(file: UploadFile) -> dict[str, object]:
        picture = await file.read()
        if not picture:
            raise HTTPException(400, "Uploaded file is empty.")
        started = time.perf_counter()
        answer = classifier.answer(classifier.classify([classifier.prepare(picture)])[0])
        took = (time.perf_counter() - started) * 1e3
        return {**answer, "latency_ms": took, "throughput_fps": 1e3 / took, "batch_size": 1}

    return app


def main() -> None:
    """Serve on the loopback."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    app = build_app(TorchClassifier(args.cache))
    uvicorn.run(app, host="127.0.0.1", port=args.port, log_level="warning")


if __name__ == "__main__":
    main()
