"""Embeddings and BERTScore: what the service does, and what the encoders could on the device."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from export.samples import varied_pairs, varied_texts
from tests.gpu.check.options import REPOSITORY, Options
from tests.gpu.check.section import Section, SkippedError
from tests.gpu.check.timing import per_second

ROWS, LENGTH = 32, 128
TOLERANCE = {"sentence_encoder": 1e-4, "token_encoder": 1e-4}
"""Of unit vectors, without TF32, as both configurations ask for: it would err by 1e-3."""


def service(section: Section, options: Options) -> None:
    """Texts and pairs per second through Triton."""
    from launcher.server import TritonServer
    from tests.support.text_models import TextModels

    texts, pairs = varied_texts(100, seed=3), varied_pairs(100, seed=3)
    with tempfile.TemporaryDirectory(prefix="pentad-check-") as folder:
        log = Path(folder) / "triton.log"
        with TritonServer.on_free_ports(REPOSITORY, log=log) as server:
            models = TextModels(server)
            models.load("sentence_encoder", "text_embedding", "token_encoder", "bertscore")
            embedding = per_second(lambda: len(models.embed(texts)), options.seconds, clients=4)
            scoring = per_second(lambda: len(models.score(pairs)), options.seconds, clients=4)
            models.close()
    section.rate("embeddings, requests of 100, 4 clients", "texts/s", embedding)
    section.rate("BERTScore, requests of 100, 4 clients", "pairs/s", scoring)
    section.headline = f"{embedding:.0f} texts/s, {scoring:.0f} pairs/s"


def encoders(section: Section, options: Options) -> None:
    """The encoders alone by ONNX Runtime's CUDA provider, 32 rows of 128 tokens.

    Raises:
        SkippedError: there is no such provider.
        AssertionError: answers differ from the CPU's.
    """
    import onnxruntime

    if not options.cuda:
        raise SkippedError("the device is the CPU")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise SkippedError("this ONNX Runtime has no CUDA provider (onnxruntime-gpu has)")
    index = int(options.device.partition(":")[2] or 0)
    cuda = [("CUDAExecutionProvider", {"device_id": index, "use_tf32": 0})]
    chance = np.random.default_rng(0)
    feed = {
        "input_ids": chance.integers(1000, 20_000, (ROWS, LENGTH)),
        "attention_mask": np.ones((ROWS, LENGTH), np.int64),
    }
    for model, bound in TOLERANCE.items():
        file = str(REPOSITORY / model / "1" / "model.onnx")
        sessions = [
            onnxruntime.InferenceSession(file, providers=providers)
            for providers in (cuda, ["CPUExecutionProvider"])
        ]
        on_device, on_cpu = (_rate(one, feed, options.seconds) for one in sessions)
        difference = np.abs(sessions[0].run(None, feed)[0] - sessions[1].run(None, feed)[0]).max()
        assert difference <= bound, f"{model} differs by {difference:.2e}"
        section.note(f"{model}: largest difference", f"{difference:.1e}")
        section.rate(f"{model}, {ROWS} rows of {LENGTH} tokens", "rows/s", on_device, on_cpu)


def _rate(session: Any, feed: dict[str, np.ndarray], seconds: float) -> float:
    return per_second(lambda: len(session.run(None, feed)[0]), seconds)
