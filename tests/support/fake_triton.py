"""A stand-in for Triton at the gateway's edge: counts and times calls, computes toy answers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gateway.errors import GatewayError, UnavailableError
from gateway.triton.status import RefusedInputError
from gateway.triton.tensors import Array, Tensor, to_array
from tests.support.waiting import opened

ENCODER_CONFIG = {
    "backend": "onnxruntime",
    "instance_group": [{"kind": "KIND_CPU", "count": 2}],
    "max_batch_size": 8,
    "input": [{"name": "image", "data_type": "TYPE_UINT8", "dims": ["-1", "112", "3"]}],
    "output": [{"name": "embedding"}],
}


NETWORKS = ("face_detector", "face_embedder", "expression_classifier")
TEXTS = {"model": "all-MiniLM-L6-v2", "dimensions": 2, "max_tokens": 256}
FACES = {
    "model": "some-embedder",
    "dimensions": 512,
    "thresholds": {"same_person": 0.5, "consistency": 0.4},
}
"""MODEL_INFO of the models."""
Columns = dict[str, list[Any]]


def _refuse(items: list[bytes]) -> None:
    """Refuse an item that begins with the code of a refusal."""
    for place, item in enumerate(items):
        if item.startswith((b"image_", b"face_", b"clip_")):
            raise RefusedInputError(item.decode(), place)


def _words(text: str) -> bytes:
    """Return a text's words as its tokens, between two that are added."""
    places = [(found.start(), found.end()) for found in re.finditer(r"\S+", text)]
    told = {
        "ids": [101, *(1000 + place for place in range(len(places))), 102],
        "tokens": ["[CLS]", *(text[start:stop].lower() for start, stop in places), "[SEP]"],
        "special": [1, *(0 for _ in places), 1],
        "starts": [0, *(start for start, _ in places), 0],
        "stops": [0, *(stop for _, stop in places), 0],
    }
    return json.dumps(told).encode()


def _piece(reasoning: str, text: str, last: dict[str, Array]) -> dict[str, Array]:
    return {
        "REASONING": np.array([reasoning.encode()], object),
        "TEXT": np.array([text.encode()], object),
        **last,
    }


VLM_INFO = {
    "model": "some-vlm",
    "limits": {"tokens": 100, "thinking": 50, "images": 4, "videos": 1, "context": 8192},
}


@dataclass
class FakeTriton:
    """Implements TritonPort. An embedding is (length of the text, first code point)."""

    delay: float = 0.0
    failures: list[GatewayError] = field(default_factory=list)
    loaded: set[str] = field(default_factory=set)
    unloadable: set[str] = field(default_factory=set)
    calls: list[tuple[str, int]] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    unloads: list[str] = field(default_factory=list)
    aborted: list[str] = field(default_factory=list)
    cancelled: int = 0
    is_live: bool = True
    broken: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    """Models whose process is gone while their requests are kept, until they are loaded again."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the text models tell of themselves beside :data:`TEXTS`."""
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the connection ends."""
    gate: asyncio.Event = field(default_factory=opened)
    """Inferences, but for canaries, wait for the gate that was there when they began."""

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Tensor],
        outputs: Sequence[str],
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Array]:
        if model in self.broken:
            raise UnavailableError(retry_after=1)
        if model in self.silent:
            await asyncio.sleep(3600)
        if model in NETWORKS:  # a canary of the network itself
            return {name: np.zeros((1, 4), np.float32) for name in outputs}
        columns = {
            n: self._items(tensor) for n, tensor in inputs.items() if tensor.datatype == "BYTES"
        }
        rows = len(next(iter(columns.values())))
        canary = "MODEL_INFO" in outputs
        if not canary:
            self.calls.append((model, rows))
        if self.failures:
            raise self.failures.pop(0)
        try:
            if not canary:
                await self.gate.wait()
            await asyncio.sleep(0 if canary else self.delay)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        found = getattr(self, f"_{model}")(columns)
        facts = {"face_enrollment": FACES, "vlm": VLM_INFO}.get(model, TEXTS | self.facts)
        info = json.dumps(facts).encode()
        found["MODEL_INFO"] = np.array([[info]] * rows, dtype=object)
        return {name: found[name] for name in outputs}

    @staticmethod
    def _items(tensor: Tensor) -> list[bytes]:
        return list(to_array(tensor.datatype, tensor.shape, tensor.data).reshape(-1))

    @staticmethod
    def _text_embedding(columns: Columns) -> dict[str, Array]:
        texts = [item.decode() for item in columns["TEXT"]]
        for place, cut in enumerate(columns.get("TRUNCATE", ())):
            if cut == b"NONE" and len(texts[place]) > 256:
                raise RefusedInputError("text_too_long", place)
            texts[place] = texts[place][-256:]
        rows = [(len(text), ord(text[0]) if text else 0) for text in texts]
        return {
            "EMBEDDING": np.array(rows, np.float32),
            "TOKEN_COUNT": np.array([[len(text.split()) + 2] for text in texts], np.int32),
            "TOKENS": np.array([[_words(text)] for text in texts], object),
        }

    @staticmethod
    def _reranking(columns: Columns) -> dict[str, Array]:
        """Score by the difference of the lengths."""
        pairs = list(zip(columns["QUERY"], columns["DOCUMENT"], strict=True))
        return {
            "SCORE": np.array([[1 / (1 + abs(len(q) - len(d)))] for q, d in pairs], np.float32),
            "TOKEN_COUNT": np.array(
                [[len((q + b" " + d).split()) + 3] for q, d in pairs], np.int32
            ),
        }

    @staticmethod
    def _bertscore(columns: Columns) -> dict[str, Array]:
        pairs = zip(columns["CANDIDATE"], columns["REFERENCE"], strict=True)
        same = np.array([[c == r] for c, r in pairs], np.float32)
        return {
            "PRECISION": same * np.float32(0.9),
            "RECALL": same * np.float32(0.8),
            "F1": same * np.float32(0.85),
        }

    @staticmethod
    def _image_classification(columns: Columns) -> dict[str, Array]:
        _refuse(columns["IMAGE"])
        labels = [b"tench", b"goldfish", b"great white shark", b"tiger shark", b"hammerhead"]
        return {
            "LABEL": np.array([labels], object),
            "CONFIDENCE": np.array([[0.5, 0.25, 0.125, 0.0625, 0.03125]], np.float32),
            "BATCH_SIZE": np.array([[3]], np.int32),
            "TIMING_MS": np.array([[1.5, 2.5]], np.float32),
        }

    @staticmethod
    def _face_enrollment(columns: Columns) -> dict[str, Array]:
        """Answer the vector (1, 0, …) and the poses as thumbnail."""
        _refuse(columns["IMAGES"])
        seen = {
            "face": True, "score": 0.9, "box": [1.0, 2.0, 30.0, 40.0], "faces": 1,
            "landmarks": [[5.0, 6.0]] * 5, "used": True, "reason": None,
        }  # fmt: skip
        report = [seen for _ in columns["IMAGES"]]
        return {
            "VECTOR": np.eye(1, 512, dtype=np.float32)[0],
            "THUMBNAIL": np.array([b"|".join(columns["POSES"])], object),
            "IMAGE_REPORT": np.array([json.dumps(report).encode()], object),
        }

    def _emotion_story(self, columns: Columns) -> dict[str, Array]:
        """Echo what arrived, in the shape of the model's result."""
        given = columns.get("CLIP") or columns["IMAGES"]
        _refuse(given)
        engine = columns["ENGINE"][0].decode()
        if engine == "vlm" and "vlm" in self.broken:
            raise RefusedInputError("vlm_unavailable")
        labels = ["happiness", "neutral", "happiness"]
        frames = [
            {"frame": n, "emotion": labels[n % 3], "confidence": 0.4 + 0.2 * (n % 3 == 1)}
            for n in range(len(given))
        ]
        result = {
            "story": "A person smiles.",
            "engine": engine,
            "model": "stand-in",
            "emotions": [{"start_s": 0.0, "end_s": 1.0, "emotion": "happiness", "confidence": 0.5}],
            "frames": frames,
            "frames_analyzed": len(frames),
            "duration_s": 1.0,
            "truncated": False,
            "options": json.loads(columns["OPTIONS"][0]),
        }
        return {"RESULT": np.array([json.dumps(result).encode()], object)}

    @staticmethod
    def _vlm(columns: Columns) -> dict[str, Array]:
        return {"TEXT": np.array([b"x"], object)}

    async def stream(
        self,
        model: str,
        inputs: Mapping[str, Tensor],
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[dict[str, Array], None]:
        """Answer as `vlm_chat`: the thinking is the options, the answer the words of MESSAGES."""
        columns = {name: self._items(tensor) for name, tensor in inputs.items()}
        options = json.loads(columns["OPTIONS"][0])
        if options.get("describe"):
            if model in self.broken:
                raise UnavailableError(retry_after=1)
            yield {"MODEL_INFO": np.array([b'{"model": "vlm_chat"}'], object)}
            return
        self.calls.append((model, len(columns.get("MEDIA", ()))))
        if self.failures:
            raise self.failures.pop(0)
        _refuse(columns.get("MEDIA", []))
        messages = columns["MESSAGES"][0].decode()
        reasoning = json.dumps(options, sort_keys=True)
        usage = b'{"prompt_tokens": 7, "completion_tokens": 5, "reasoning_tokens": 2}'
        last = {"FINISH_REASON": np.array([b"stop"], object), "USAGE": np.array([usage], object)}
        pieces = re.findall(r"\S+\s*", messages) if options["stream"] else [messages]
        try:
            yield _piece(reasoning, pieces[0], {} if options["stream"] else last)
            for number, text in enumerate(pieces[1:], 2):
                await self.gate.wait()
                if self.failures:
                    raise self.failures.pop(0)
                yield _piece("", text, last if number == len(pieces) else {})
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += options["stream"]
            raise

    def abort(self, model: str) -> None:
        self.aborted.append(model)

    async def live(self) -> bool:
        return self.is_live

    async def lost(self) -> None:
        await self.hung_up.wait()
        self.hung_up.clear()

    async def ready_models(self) -> set[str]:
        return set(self.loaded)

    async def load(self, model: str, config: Mapping[str, Any] | None = None) -> None:
        self.loads.append(model)
        if model in self.unloadable:
            raise GatewayError("no such file")
        self.loaded.add(model)

    async def unload(self, model: str) -> None:
        self.unloads.append(model)
        self.silent.discard(model)
        self.loaded.discard(model)

    async def config(self, model: str) -> dict[str, Any]:
        return dict(ENCODER_CONFIG)

    async def statistics(self) -> list[dict[str, Any]]:
        return [{"name": "text_embedding", "inference_stats": {"success": {"count": "3"}}}]

    async def check_memory(self) -> None:
        return None

    async def server_version(self) -> str:
        return "2.51.0"

    async def close(self) -> None:
        return None
