"""Asks the text models of a running tritonserver, and the libraries they must agree with."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from tritonclient import grpc

from export.catalogue import ALL_MINILM_L6_V2
from export.fetch import checkpoint_folder
from export.progress import Progress
from launcher.server import TritonServer
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = ROOT / "model_repository"
SCORES = ("PRECISION", "RECALL", "F1")


def checkpoint() -> str:
    """Folder of the packaged checkpoint that the default models were exported from."""
    cache = ROOT / "var" / "cache"
    return str(checkpoint_folder(ALL_MINILM_L6_V2.package, cache, Progress()))


def text_input(name: str, texts: Sequence[str | bytes]) -> grpc.InferInput:
    """A BYTES tensor [n, 1]."""
    raw = [text if isinstance(text, bytes) else text.encode() for text in texts]
    tensor = grpc.InferInput(name, [len(raw), 1], "BYTES")
    tensor.set_data_from_numpy(np.array(raw, dtype=np.object_).reshape(-1, 1))
    return tensor


class TextModels:
    """A client of the text models."""

    def __init__(self, server: TritonServer) -> None:
        self.server = server
        self.client = grpc.InferenceServerClient(server.grpc_url)

    def load(self, *names: str) -> None:
        for name in names:
            self.client.load_model(name)

    def unload(self, *names: str) -> None:
        for name in names:
            self.client.unload_model(name)

    def close(self) -> None:
        self.client.close()

    def embed(self, texts: Sequence[str | bytes], **options: Any) -> np.ndarray:
        """Embeddings [n, 384]."""
        outputs = [grpc.InferRequestedOutput("EMBEDDING")]
        answer = self.client.infer(
            "text_embedding", [text_input("TEXT", texts)], outputs=outputs, **options
        )
        return answer.as_numpy("EMBEDDING")

    def score(self, pairs: Sequence[tuple[str, str]], model: str = "bertscore") -> np.ndarray:
        """Precision, recall, F1 [n, 3]."""
        candidates, references = zip(*pairs, strict=True)
        answer = self.client.infer(
            model,
            [text_input("CANDIDATE", candidates), text_input("REFERENCE", references)],
            outputs=[grpc.InferRequestedOutput(name) for name in SCORES],
        )
        return np.concatenate([answer.as_numpy(name) for name in SCORES], axis=1)

    def executions(self, model: str) -> tuple[int, int]:
        """Inferences (rows) and executions of a model so far.

        Triton counts an execution a moment after it answered: read until nothing changes. Where
        the numbers must be exact, wait for them with `wait_rows`.
        """
        found, same = self.counted(model), 0
        while same < 5:
            time.sleep(0.1)
            earlier, found = found, self.counted(model)
            same = same + 1 if found == earlier else 0
        return found

    def wait_rows(self, model: str, rows: int) -> tuple[int, int]:
        """As `executions`, once so many rows are counted."""
        wait_for(lambda: self.counted(model)[0] >= rows)
        return self.executions(model)

    def counted(self, model: str) -> tuple[int, int]:
        """Inferences (rows) and executions that Triton has counted by now."""
        stats = self.client.get_inference_statistics(model).model_stats[0]
        return int(stats.inference_count), int(stats.execution_count)

    def family(self) -> list[psutil.Process]:
        """The server and its stubs."""
        server = psutil.Process(self.server.process.pid)
        return [server, *server.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """What they have computed so far; wall time would be that of all neighbours."""
        return sum(sum(process.cpu_times()[:2]) for process in self.family())


def bert_scorer(folder: str, layer: int) -> Any:
    """The bert-score library on a checkpoint."""
    from bert_score import BERTScorer

    # It sorts texts by their words, so that of a batch of 64, its default, those of one endless
    # word make all the others as long.
    options = {"device": "cpu", "lang": "en", "batch_size": 4}
    scorer = BERTScorer(model_type=folder, num_layers=layer, **options)
    tokenizer = scorer._tokenizer
    # bert-score 0.3.13 encodes empty texts by a method that transformers 5 has dropped.
    tokenizer.build_inputs_with_special_tokens = lambda ids: [
        tokenizer.cls_token_id,
        *ids,
        tokenizer.sep_token_id,
    ]
    tokenizer.model_max_length = min(tokenizer.model_max_length, 512)
    return scorer
