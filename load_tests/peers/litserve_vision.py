"""LitServe with batching across requests, the strong vision peer. Runs in ``.venv-litserve``.

python -m load_tests.peers.litserve_vision --cache DIR --port PORT
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import litserve
import torch

from load_tests.peers.torch_classifier import TorchClassifier


class Classification(litserve.LitAPI):
    """`/infer`: the pictures of all batched requests go through the network together."""

    def __init__(self, cache: Path, threads: int, channels_last: bool, **settings: Any) -> None:
        super().__init__(api_path="/infer", **settings)
        self._cache = cache
        self._threads = threads
        self._channels_last = channels_last

    def setup(self, device: str) -> None:
        """Load the model in the worker."""
        torch.set_num_threads(self._threads)
        self._classifier = TorchClassifier(self._cache)
        if self._channels_last:
            self._classifier.model.to(memory_format=torch.channels_last)

    # LitServe reads the annotation of `request`: without one it passes the parsed form.
    def decode_request(self, request) -> torch.Tensor:  # type: ignore[no-untyped-def]
        """Decode and transform one request's picture."""
        return self._classifier.prepare(request["file"].file.read())

    def batch(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        """Leave the stacking to ``predict``."""
        return inputs

    def predict(self, prepared: list[torch.Tensor]) -> torch.Tensor:
        """Return the confidences, [pictures, 1000]."""
        return self._classifier.classify(prepared)

    def unbatch(self, output: torch.Tensor) -> list[torch.Tensor]:
        """Return one row per request."""
        return list(output)

    def encode_response(self, output: torch.Tensor) -> dict[str, object]:
        """Return one picture's answer."""
        return self._classifier.answer(output)


def main() -> None:
    """Serve on the loopback. The defaults are the fastest settings found on 2 cores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--max-batch-size", type=int, default=8, help="requests")
    parser.add_argument("--batch-timeout", type=float, default=0.005, help="seconds")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--threads", type=int, default=1, help="torch threads per worker")
    parser.add_argument(
        "--channels-last",
        action="store_true",
        help="convert the network to the layout of oneDNN's convolutions: a tenth quicker",
    )
    args = parser.parse_args()
    api = Classification(
        args.cache,
        args.threads,
        args.channels_last,
        max_batch_size=args.max_batch_size,
        batch_timeout=args.batch_timeout,
    )
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=args.workers, fast_queue=True, timeout=300
    )
    server.run(host="127.0.0.1", port=args.port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
