"""Which models can be exported, and what the command line and the configuration ask of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Protocol

from export.classifier import NETWORK, ClassifierExport
from export.classifier_source import ClassifierSource
from export.errors import ExportError
from export.expression import NETWORK as EXPRESSIONS
from export.expression import ExpressionExport
from export.face_network import DETECTOR, EMBEDDER, DetectorExport, EmbedderExport
from export.face_source import DetectorSource, EmbedderSource
from export.insightface_pack import ROOT, Pack, PackDetector, PackEmbedder
from export.insightface_pack import named as named_pack
from export.lipsync.audio_encoder import MODEL as AUDIO_ENCODER
from export.lipsync.audio_encoder import AudioEncoderExport
from export.lipsync.export import LipsyncExport
from export.lipsync.importing import MODEL as LIPSYNC
from export.pair import PairExport
from export.progress import Progress
from export.source import named, packaged
from export.task import TASKS
from export.tryon.model import MODEL as TRYON
from export.tryon.model import TryonExport
from gateway.settings import Settings

MODELS = (*TASKS, NETWORK, DETECTOR, EMBEDDER, EXPRESSIONS, LIPSYNC, AUDIO_ENCODER, TRYON)
"""Names that the command takes."""

_TEXT_OPTIONS = ("checkpoint", "layer")
_IMAGE_OPTIONS = ("architecture", "weights", "labels", "input_size", "resize_size")
FACES = "faces"
"""The detector and the embedder together."""
_PACK_OPTIONS = ("pack", "root")
_DETECTOR_OPTIONS = ("weights", "decoder", *_PACK_OPTIONS)
_EMBEDDER_OPTIONS = ("weights", "color", "mean", "std", *_PACK_OPTIONS)
_AUDIO_OPTIONS = ("file",)
_OPTIONS = {
    NETWORK: _IMAGE_OPTIONS,
    DETECTOR: _DETECTOR_OPTIONS,
    EMBEDDER: _EMBEDDER_OPTIONS,
    EXPRESSIONS: (),
    LIPSYNC: (),
    AUDIO_ENCODER: _AUDIO_OPTIONS,
    TRYON: (),
}
"""What concerns each model; the others are text models."""
_GIVEN = dict.fromkeys(
    (*_TEXT_OPTIONS, *(option for options in _OPTIONS.values() for option in options))
)


class Export(Protocol):
    """One thing to make."""

    def is_current(self) -> bool:
        """Whether it is there already, made from the same source."""

    def make(self, progress: Progress) -> None:
        """Make it.

        Raises:
            ExportError: It cannot be made; what was there before is left.
        """


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what a model is made from."""
    text = parser.add_argument_group("text models")
    text.add_argument(
        "--checkpoint",
        metavar="DIR_OR_HUB_NAME",
        help="another encoder; a name that is no folder is fetched from the hub",
    )
    text.add_argument(
        "--layer",
        type=int,
        metavar="N",
        help="hidden layer that bertscore compares (deberta-xlarge-mnli: 40)",
    )
    images = parser.add_argument_group(NETWORK)
    images.add_argument("--architecture", metavar="NAME", help="a classifier of torchvision's")
    images.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="its state dictionary (.pth, .safetensors); default: torchvision's published weights. "
        f"For {DETECTOR} and {EMBEDDER} an ONNX file",
    )
    images.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="its labels, one per line or a JSON list; default: ImageNet's",
    )
    images.add_argument("--input-size", type=int, metavar="PIXELS", help="side that it sees")
    images.add_argument(
        "--resize-size", type=int, metavar="PIXELS", help="length of the shorter side before"
    )

    faces = parser.add_argument_group(f"{DETECTOR}, {EMBEDDER}")
    faces.add_argument(
        "--decoder",
        choices=("centerface", "scrfd"),
        help=f"family of the {DETECTOR} in --weights; scrfd: InsightFace's det_10g.onnx and alike",
    )
    faces.add_argument(
        "--color", choices=("rgb", "bgr"), help=f"channels that the {EMBEDDER} wants; default: rgb"
    )
    faces.add_argument("--mean", type=float, help="subtracted from 0..255; default: 127.5")
    faces.add_argument("--std", type=float, help="divides the rest; default: 127.5")

    faces.add_argument(
        "--pack",
        metavar="NAME",
        help=f"of InsightFace's, such as buffalo_l: `{FACES}` takes both networks of it. Found in"
        " --root or fetched there by InsightFace's package; for non-commercial research only",
    )
    faces.add_argument("--root", metavar="DIR", help=f"InsightFace's folder; default: {ROOT}")

    audio = parser.add_argument_group(AUDIO_ENCODER)
    audio.add_argument(
        "--file",
        type=Path,
        help="an ONNX file that turns mel windows into audio features; default: "
        "`lipsync.audio_encoder`, or the demo's random one",
    )


def named_models(names: list[str]) -> list[str]:
    """Names of models for what the command line calls them."""
    groups = [(DETECTOR, EMBEDDER) if name == FACES else (name,) for name in names]
    return list(dict.fromkeys(model for models in groups for model in models))


def select(models: list[str], options: argparse.Namespace, settings: Settings) -> list[Export]:
    """Return what to make for `models`.

    Raises:
        ExportError: An unknown model, or options that do not go together.
    """
    if unknown := set(models) - set(MODELS):
        known = ", ".join((*MODELS, FACES))
        raise ExportError(f"unknown model {', '.join(sorted(unknown))}; known: {known}")
    given = [name for name in _GIVEN if getattr(options, name) is not None]
    whole_pack = set(given) <= set(_PACK_OPTIONS) and set(models) == {DETECTOR, EMBEDDER}
    if given and len(models) != 1 and not whole_pack:
        raise ExportError(f"--{given[0].replace('_', '-')} needs exactly one MODEL")
    return [_export_of(model, given, options, settings) for model in models]


def _export_of(
    model: str, given: list[str], options: argparse.Namespace, settings: Settings
) -> Export:
    paths = settings.paths
    concerned = _OPTIONS.get(model, _TEXT_OPTIONS)
    if wrong := [name for name in given if name not in concerned]:
        raise ExportError(f"--{wrong[0].replace('_', '-')} does not concern {model}")
    if model == NETWORK:
        return _classifier(given, options, settings)
    if model in (DETECTOR, EMBEDDER):
        return _face_network(model, given, options, settings)
    if model == EXPRESSIONS:
        if options.suffix:
            raise ExportError(f"--as is not for {model}: one is enough for everybody who calls it")
        return ExpressionExport(paths.repository, paths.cache)
    if model in (LIPSYNC, AUDIO_ENCODER):
        return _lipsync(model, options, settings)
    if model == TRYON:
        if options.suffix:
            raise ExportError(f"--as is not for {model}")
        return TryonExport(settings)
    task = TASKS[model]
    if task.is_ranking and not options.checkpoint:
        raise ExportError(f"{model} needs --checkpoint: no package has weights for it")
    checkpoint = named(options.checkpoint, options.layer) if options.checkpoint else packaged()
    return PairExport(task, checkpoint, paths.repository, paths.cache, options.suffix)


def _classifier(
    given: list[str], options: argparse.Namespace, settings: Settings
) -> ClassifierExport:
    """Return the classifier of the command line; of `vision.classifier` where that says nothing."""
    if given or options.suffix:
        source, suffix = {name: getattr(options, name) for name in given}, options.suffix
    else:
        source = settings.vision.classifier.model_dump(exclude_none=True)
        suffix = settings.vision.network.removeprefix(NETWORK).removeprefix("_") or None
    paths = settings.paths
    return ClassifierExport(ClassifierSource(**source), paths.repository, paths.cache, suffix)


def _face_network(
    model: str, given: list[str], options: argparse.Namespace, settings: Settings
) -> DetectorExport | EmbedderExport:
    """Return a face network of the command line; of `iot` where that says nothing."""
    if options.suffix:
        raise ExportError(f"--as is not for {model}: one is enough for everybody who calls it")
    paths = settings.paths
    pack = _pack(given, options, settings)
    section = settings.iot.detector if model == DETECTOR else settings.iot.embedder
    words = {name: getattr(options, name) for name in given}
    words = words or section.model_dump(exclude_none=True)
    if model == DETECTOR:
        detector = PackDetector(pack) if pack else DetectorSource(**words)
        return DetectorExport(detector, paths.repository, paths.cache)
    embedder = PackEmbedder(pack) if pack else EmbedderSource(**words)
    return EmbedderExport(embedder, paths.repository, paths.cache)


def _pack(given: list[str], options: argparse.Namespace, settings: Settings) -> Pack | None:
    """Return the pack of the command line; that of `iot.pack` where it says nothing.

    Raises:
        ExportError: Options that do not go together.
    """
    if others := [name for name in given if name not in _PACK_OPTIONS]:
        if options.pack or options.root:
            raise ExportError(f"--{others[0]} does not go with a pack")
        return None
    name = options.pack or settings.iot.pack
    if name is None and options.root:
        raise ExportError("--root needs --pack")
    return named_pack(name, options.root or ROOT) if name else None


def _lipsync(
    model: str, options: argparse.Namespace, settings: Settings
) -> LipsyncExport | AudioEncoderExport:
    """Devices and demo tenants, or the audio encoder of the command line or of `lipsync`."""
    if options.suffix:
        raise ExportError(f"--as is not for {model}")
    if model == LIPSYNC:
        return LipsyncExport(settings)
    lipsync, paths = settings.lipsync, settings.paths
    file = options.file or lipsync.encoder_file(paths.state)
    if file is None:
        raise ExportError(f"{model} needs --file or lipsync.audio_encoder")
    demo = options.file is None and lipsync.audio_encoder is None
    return AudioEncoderExport(file, demo, paths.repository, lipsync.audio_model)
