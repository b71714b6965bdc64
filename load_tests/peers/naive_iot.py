"""The old vectorizer's way, as the baseline: thirty pictures of an enrollment one by one.

    python -m load_tests.peers.naive_iot --repository DIR --port PORT [--workers N]

Each worker process enrolls one person at a time; the networks are those that Pentad serves. One
worker gives both cores to every network run, several get an equal share.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from load_tests.peers.plain_faces import PlainFaces

_state: dict[str, PlainFaces] = {}


class PoseImage(BaseModel):
    """One picture."""

    pose: str | None = None
    data: str


class VectorizerRequest(BaseModel):
    """Body of `/iot/vectorizer`."""

    employee_id: str
    images: list[PoseImage]


def _load(repository: Path, threads: int) -> None:
    cv2.setNumThreads(threads)
    _state["faces"] = PlainFaces(repository, threads)


def _vector(images: list[bytes]) -> bytes:
    return _state["faces"].vector(images).astype("<f4").tobytes()


def build_app(workers: ProcessPoolExecutor) -> FastAPI:
    """Return the application."""
    app = FastAPI()

    @app.get("/iot/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/iot/vectorizer")
    async def vectorizer(request: VectorizerRequest) -> dict[str, Any]:
        images = [base64.b64decode(image.data) for image in request.images]
        loop = asyncio.get_running_loop()
        try:
            vector = await loop.run_in_executor(workers, _vector, images)
        except ValueError as error:
            raise HTTPException(500, str(error)) from None
        return {
            "employee_id": request.employee_id,
            "enrollmentProcessedFile": base64.b64encode(vector).decode(),
            "embedding_dim": 512,
            "model": "ArcFace",
            "image_count": len(images),
        }

    return app


def main() -> None:
    """Serve on the loopback."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    threads = max(1, len(os.sched_getaffinity(0)) // args.workers)
    with ProcessPoolExecutor(args.workers, None, _load, (args.repository, threads)) as workers:
        uvicorn.run(build_app(workers), host="127.0.0.1", port=args.port, log_level="warning")


if __name__ == "__main__":
    main()
