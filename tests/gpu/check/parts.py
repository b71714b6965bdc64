"""The parts of the check, in the order in which they run."""

from __future__ import annotations

from dataclasses import dataclass

LIPSYNC = ("torch", "onnx", "onnxruntime", "numpy")
TRITON = ("pytriton", "tritonclient", "grpc", "pydantic", "pydantic_settings", "yaml", "psutil")
"""What a tritonserver from the wheel and a client of it need."""
TESTS = (*TRITON, "pytest", "pytest_asyncio", "pytest_timeout", "xdist", "hypothesis", "httpx")
"""What the project's own tests through it need."""
FACES = ("face_detector", "face_embedder")


@dataclass(frozen=True)
class Part:
    """One part.

    Attributes:
        name: its group and its own name.
        what: what it answers.
        call: module and function, which gets the section, the options, and the argument if any.
        argument: of the call.
        packages: what must be importable.
        models: exported models that must be there.
        seconds: after which it is stopped; some five times of what it should take.
    """

    name: str
    what: str
    call: str
    argument: str = ""
    packages: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    seconds: float = 180.0

    @property
    def group(self) -> str:
        """Of the name, what is before the point."""
        return self.name.partition(".")[0]


def _lipsync(name: str, what: str, seconds: float = 180.0) -> Part:
    call = f"tests.gpu.check.lipsync.{name}:check"
    return Part(f"lipsync.{name}", what, call, packages=LIPSYNC, seconds=seconds)


def _golden(name: str, what: str, test: str, models: tuple[str, ...], *packages: str) -> Part:
    return Part(
        f"services.{name}",
        f"{what} against their golden answers",
        "tests.gpu.check.golden_tests:check",
        f"tests/triton/{test}",
        (*TESTS, *packages),
        models,
        seconds=240.0,
    )


def _on_gpu(name: str, what: str, packages: tuple[str, ...]) -> Part:
    call, folder = "tests.gpu.check.golden_tests:check", f"tests/gpu/{name}"
    return Part(f"tests.{name}", what, call, folder, packages)


PARTS = (
    _lipsync("golden", "frames of every batch and type against ONNX Runtime"),
    _lipsync("first_call", "what the first call of a new process waits for"),
    _lipsync("capture", "all batches of all workers are captured when a tenant is loaded"),
    _lipsync("race", "four threads while tenants come from the host's memory to the device's"),
    _lipsync("fusion", "fused convolutions against plain ones"),
    _lipsync("speed", "ms per frame and per switch of tenants, batches of 1, 4, 8, 25"),
    _lipsync("memory", "of a tenant and of a worker, on the device"),
    Part(
        "services.models",
        "exported models; those missing are exported where that needs no network",
        "tests.gpu.check.models:check",
        packages=TRITON,
        seconds=300.0,
    ),
    Part(
        "services.lipsync",
        "the model through Triton and shared memory",
        "tests.gpu.check.lipsync.through_triton:check",
        packages=(*TRITON, *LIPSYNC),
    ),
    _golden(
        "embeddings",
        "text embeddings",
        "text/test_embedding_parity.py::test_golden_values",
        ("sentence_encoder",),
        "tokenizers",
    ),
    _golden(
        "bertscore",
        "BERTScore",
        "text/test_bertscore_parity.py::test_golden_values",
        ("token_encoder",),
        "tokenizers",
        "bert_score",
    ),
    _golden(
        "classification",
        "image classification",
        "vision/test_golden.py::test_golden_values",
        ("image_classifier",),
        "PIL",
    ),
    _golden("faces", "face vectors", "iot/faces/test_golden.py", FACES, "cv2", "PIL"),
    _golden(
        "emotions",
        "emotion stories",
        "emotions/test_emotion_story.py::test_the_golden_story_of_the_talking_man",
        (*FACES, "expression_classifier"),
        "cv2",
        "av",
    ),
    _golden(
        "tryon",
        "try-on pictures",
        "tryon/model/test_warp_jobs.py::test_pictures_look_as_they_were_judged",
        (),
        "ai_edge_litert",
        "PIL",
    ),
    Part(
        "services.text",
        "texts and pairs per second through Triton",
        "tests.gpu.check.text:service",
        packages=(*TRITON, "tokenizers"),
        models=("sentence_encoder", "token_encoder"),
    ),
    Part(
        "networks.text",
        "the text encoders by ONNX Runtime's CUDA provider",
        "tests.gpu.check.text:encoders",
        packages=("onnxruntime", "numpy"),
        models=("sentence_encoder", "token_encoder"),
    ),
    Part(
        "networks.plans",
        "TensorRT plans: built, guarded and timed",
        "tests.gpu.check.plans:build",
        packages=("tensorrt", "torch", "onnx", "onnxruntime", "pydantic", "yaml"),
        models=("sentence_encoder",),
        seconds=420.0,
    ),
    _on_gpu("plans", "a plan from its graph to the gateway's choice", ("pytest", "torch")),
    _on_gpu("tryon", "the try-on engine `diffusers`", ("pytest", "torch")),
)
GROUPS = tuple(dict.fromkeys(part.group for part in PARTS))


def chosen(names: list[str]) -> list[Part]:
    """The parts of these groups or names, in order; all for none.

    Raises:
        ValueError: there is no such part.
    """
    known = {*GROUPS, *(part.name for part in PARTS)}
    if unknown := sorted(set(names) - known):
        raise ValueError(f"no such part: {', '.join(unknown)}")
    return [part for part in PARTS if not names or {part.name, part.group} & set(names)]
