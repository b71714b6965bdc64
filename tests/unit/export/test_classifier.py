"""A random ResNet18 goes the way of its published weights; mistakes are told in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from export import classifier_graph
from export.__main__ import main
from export.artefacts import STAMP
from export.catalogue import MOBILENET_V2
from export.classifier_source import ClassifierSource, read_labels
from export.errors import ExportError
from export.progress import Progress
from export.torchvision_library import Torchvision
from gateway.model_config import load

ROOT = Path(__file__).resolve().parents[3]
REPOSITORY = ROOT / "model_repository"
CACHE = ROOT / "var" / "cache"  # holds torchvision
MODELS = ("image_classifier", "image_classification")
LABELS = ("tabby cat", "poodle", "größter Vogel")


@pytest.fixture(scope="module")
def library() -> Torchvision:
    return Torchvision(CACHE, Progress())


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The committed part of the two models, in a copy."""
    copied = tmp_path / "models"
    for model in MODELS:
        for pattern in ("*.pbtxt", "configs/*.pbtxt", "1/*.py"):
            for file in (REPOSITORY / model).glob(pattern):
                copy = copied / file.relative_to(REPOSITORY)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_text(file.read_text())
    monkeypatch.setenv("PENTAD_PATHS__REPOSITORY", str(copied))
    monkeypatch.setenv("PENTAD_PATHS__CACHE", str(CACHE))
    return copied


@pytest.fixture(scope="module")
def weights(library: Torchvision, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dictionary of a ResNet18 with three classes."""
    import torch

    torch.manual_seed(3)
    file = tmp_path_factory.mktemp("weights") / "resnet18-tiny.pth"
    model = library.network("resnet18", len(LABELS))
    # Fresh layers of zero mean would let every picture look alike.
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
    torch.save(model.state_dict(), file)
    return file


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    file = tmp_path / "labels.txt"
    file.write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    return file


def command(weights: Path, labels: Path, *more: str) -> list[str]:
    given = ["image_classifier", "--architecture", "resnet18", "--weights", str(weights)]
    return [*given, "--labels", str(labels), *more]


def test_another_network_beside_the_default_one(
    repository: Path, weights: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = command(weights, labels, "--input-size", "96", "--as", "tiny")
    assert main(wanted) == 0
    network, caller = (repository / f"{model}_tiny" for model in MODELS)
    facts = json.loads((caller / "1" / "metadata.json").read_text())
    assert (facts["model"], facts["classes"], facts["license"]) == ("resnet18", 3, "unknown")
    assert (facts["input_size"], facts["resize_size"]) == (96, 110)
    assert facts["parity_max_difference"] <= classifier_graph.TOLERANCE
    assert (caller / "1" / "labels.txt").read_text(encoding="utf-8").splitlines() == [*LABELS]
    config = load(network / "config.pbtxt")
    assert [list(tensor.dims) for tensor in config.input] == [[96, 96, 3]]
    assert [3] in [list(tensor.dims) for tensor in config.output]
    warm_up = config.model_warmup[0].inputs["image"]
    assert list(warm_up.dims) == [96, 96, 3]
    assert "image:8x96x96x3" in (network / "configs" / "tensorrt.pbtxt").read_text()
    assert load(caller / "config.pbtxt").parameters["classifier"].string_value == network.name
    assert not (repository / "image_classifier" / "1" / "model.onnx").exists()

    session = onnxruntime.InferenceSession(str(network / "1" / "model.onnx"))
    images = np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3), dtype=np.uint8)
    logits, sizes = session.run(["logits", "batch_size"], {"image": images})
    assert logits.shape == (3, 3)
    assert (sizes.dtype, sizes.tolist()) == (np.int32, [[3]] * 3)

    stamp = (network / "1" / STAMP).stat().st_mtime_ns
    assert main(wanted) == 0
    assert "up to date" in capsys.readouterr().err
    assert (network / "1" / STAMP).stat().st_mtime_ns == stamp
    assert load(network / "config.pbtxt") == config


def test_by_configuration(
    repository: Path, weights: Path, labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENTAD_VISION__CLASSIFIER__ARCHITECTURE", "resnet18")
    monkeypatch.setenv("PENTAD_VISION__CLASSIFIER__WEIGHTS", str(weights))
    monkeypatch.setenv("PENTAD_VISION__CLASSIFIER__LABELS", str(labels))
    monkeypatch.setenv("PENTAD_VISION__NETWORK", "image_classifier_own")
    monkeypatch.setenv("PENTAD_VISION__TRITON_MODEL", "image_classification_own")
    assert main(["--services", "vision"]) == 0
    facts = json.loads((repository / "image_classification_own/1/metadata.json").read_text())
    assert (facts["model"], facts["classes"], facts["input_size"]) == ("resnet18", 3, 224)


def test_a_wrong_graph_is_refused_and_leaves_nothing(
    repository: Path,
    weights: Path,
    labels: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(classifier_graph, "TOLERANCE", -1.0)
    assert main(command(weights, labels, "--input-size", "64", "--as", "tiny")) == 1
    assert "differs from its model" in capsys.readouterr().err
    assert list((repository / "image_classifier_tiny" / "1").iterdir()) == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "do not fit the configuration"),
        (["--as", "x", "--resize-size", "100"], "cannot fill 224"),
        (["--as", "../x"], "--as takes"),
        (["--as", "x", "--architecture", "resnet19"], "no classifier of torchvision's"),
        (["--as", "x", "--architecture", "resnet50"], "does not fit resnet50 with 3 classes"),
        (["--as", "x", "--weights", "{here}"], "holds no readable weights"),
        (["--as", "x", "--weights", "/nowhere.pth"], "cannot be read"),
        (["--as", "x", "--labels", "/nowhere.txt"], "cannot be read"),
        (["--as", "x", "--checkpoint", "hub/name"], "does not concern image_classifier"),
    ],
)
def test_mistakes_are_told_in_one_line(
    more: list[str],
    message: str,
    repository: Path,
    weights: Path,
    labels: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = [part.replace("{here}", __file__) for part in more]
    assert main(command(weights, labels, *asked)) == 1
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("export: ")
    assert message in line


def test_options_of_texts_and_images_do_not_mix(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bertscore", "--architecture", "resnet18"]) == 1
    assert "does not concern bertscore" in capsys.readouterr().err
    assert main(["--architecture", "resnet18"]) == 1
    assert "exactly one MODEL" in capsys.readouterr().err


def test_published_weights_bring_their_sizes(library: Torchvision) -> None:
    labels = library.imagenet_labels()
    assert len(labels) == len(set(labels)) == 1000
    assert (labels[0], labels[207], labels[134]) == ("tench", "golden retriever", "crane bird")
    packaged = library.published(MOBILENET_V2.model, MOBILENET_V2.file)
    assert packaged is not None
    assert packaged.transforms().resize_size == [256]
    assert library.published("resnet18").url.endswith("resnet18-f37072fd.pth")  # type: ignore[union-attr]
    assert library.published("resnet18", "mine.pth") is None


def test_what_the_artefacts_depend_on(weights: Path, labels: Path) -> None:
    source = ClassifierSource("resnet18", weights, labels)
    before = source.made_from()
    labels.write_text("other\n")
    assert source.made_from() != before
    assert ClassifierSource().is_packaged
    assert not source.is_packaged


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "one\n two \n", ("one", "two")),
        ("a.json", '["one", "two"]', ("one", "two")),
        ("a.json", '{"one": 1}', None),
        ("a.json", "[1]", None),
        ("a.txt", "one\n\ntwo", None),
        ("a.txt", "", None),
    ],
)
def test_labels(tmp_path: Path, name: str, content: str, expected: tuple[str, ...] | None) -> None:
    file = tmp_path / name
    file.write_text(content)
    if expected is None:
        with pytest.raises(ExportError):
            read_labels(file)
    else:
        assert read_labels(file) == expected
