"""Published face networks become graphs that take pictures in batches and answer the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from export import face_source, graph_parity
from export.__main__ import main
from export.errors import ExportError
from export.face_families import PixelFormat
from export.face_graphs import write_detector, write_embedder
from export.face_network import DetectorExport, EmbedderExport
from export.face_source import DetectorSource, EmbedderSource
from export.graph_parity import pictures
from export.progress import Progress
from tests.support import face_networks

BGR = PixelFormat("bgr", 127.0, 128.0)


def run(graph: Path, images: np.ndarray) -> np.ndarray:
    """As it is served: with all optimisations."""
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": images})[0])


def raw(network: Path, planes: np.ndarray, batch: int | None = None) -> list[np.ndarray]:
    """The published network on planes [n, 3, h, w]."""
    model = onnx.load(str(network))
    if batch is not None:
        dims = model.graph.input[0].type.tensor_type.shape.dim
        for dim, size in zip(dims, planes.shape, strict=True):
            dim.dim_value = size
        for output in model.graph.output:
            output.type.tensor_type.ClearField("shape")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return list(session.run(None, {"input.1": planes}))


def test_a_centerface_network_answers_as_before(tmp_path: Path) -> None:
    network = face_networks.centerface(tmp_path / "published.onnx")
    assert write_detector(network, "centerface", tmp_path / "model.onnx")[0] < 1e-4
    images = pictures(10, (32, 32))
    heads = raw(network, images.transpose(0, 3, 1, 2).astype(np.float32))
    expected = np.concatenate(heads, axis=1).transpose(0, 2, 3, 1).reshape(10, 64, 15)
    assert np.abs(run(tmp_path / "model.onnx", images) - expected).max() < 1e-4
    assert run(tmp_path / "model.onnx", pictures(1, (64, 96))).shape == (1, 384, 15)


def test_an_scrfd_network_answers_as_before_and_sorts_its_batch(tmp_path: Path) -> None:
    network = face_networks.scrfd(tmp_path / "published.onnx", random=True)
    assert write_detector(network, "scrfd", tmp_path / "model.onnx")[0] < 1e-4
    images = pictures(3, (64, 96))
    got = run(tmp_path / "model.onnx", images)
    for image, rows in zip(images, got, strict=True):
        planes = (image[None].transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 128
        outputs = raw(network, planes)
        grids = [
            np.hstack([outputs[group * 3 + level] for group in range(3)]) for level in range(3)
        ]
        assert np.abs(rows - np.concatenate(grids)).max() < 1e-4


@pytest.mark.parametrize(
    ("decoder", "heads", "message"),
    [("centerface", 3, "4 outputs, this one 3"), ("scrfd", 4, "9 outputs, this one 4")],
)
def test_another_family_is_refused(tmp_path: Path, decoder: str, heads: int, message: str) -> None:
    network = face_networks.centerface(tmp_path / "published.onnx", heads)
    with pytest.raises(ExportError, match=message):
        write_detector(network, decoder, tmp_path / "model.onnx")


@pytest.mark.parametrize("form", [BGR, PixelFormat("rgb", 127.5, 127.5), PixelFormat("rgb", 0, 1)])
def test_an_embedder_takes_pixels_as_it_was_told(tmp_path: Path, form: PixelFormat) -> None:
    network = face_networks.embedder(tmp_path / "published.onnx")
    assert write_embedder(network, form, tmp_path / "model.onnx")[0] < 1e-4
    images = pictures(3, (112, 112))
    got = run(tmp_path / "model.onnx", images)
    for image, embedding in zip(images, got, strict=True):
        channels = image[..., ::-1] if form.color == "bgr" else image
        planes = (channels.transpose(2, 0, 1)[None].astype(np.float32) - form.mean) / form.std
        expected = raw(network, planes)[0][0]
        assert np.abs(embedding - expected).max() < 1e-4 * max(1, np.abs(expected).max())


def test_prelu_is_gone_and_a_channel_of_every_slope_is_kept(tmp_path: Path) -> None:
    network = face_networks.embedder(tmp_path / "published.onnx")
    write_embedder(network, BGR, tmp_path / "model.onnx")
    before, after = (onnx.load(str(file)).graph for file in (network, tmp_path / "model.onnx"))
    assert "PRelu" in {node.op_type for node in before.node}
    assert "PRelu" not in {node.op_type for node in after.node}


def test_vectors_of_another_length_are_refused(tmp_path: Path) -> None:
    network = face_networks.embedder(tmp_path / "published.onnx", dimensions=128)
    with pytest.raises(ExportError, match="not 512"):
        write_embedder(network, BGR, tmp_path / "model.onnx")


def test_crops_of_another_size_are_refused(tmp_path: Path) -> None:
    network = face_networks.embedder(tmp_path / "published.onnx", side=160)
    with pytest.raises(ExportError):
        write_embedder(network, BGR, tmp_path / "model.onnx")


def test_a_graph_that_answers_otherwise_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Channels in the wrong order stand for every mistake of the surgery."""
    from export import face_graphs, pixels

    def mistaken(model: object, form: PixelFormat) -> None:
        pixels.accept_pixels(model, PixelFormat("rgb", form.mean, form.std))

    monkeypatch.setattr(face_graphs, "accept_pixels", mistaken)
    network = face_networks.embedder(tmp_path / "published.onnx")
    with pytest.raises(ExportError, match="differs from its model"):
        write_embedder(network, BGR, tmp_path / "model.onnx")


@pytest.mark.parametrize("content", [b"", b"no model at all"])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "published.onnx").write_bytes(content)
    with pytest.raises(ExportError, match=r"published\.onnx"):
        write_detector(tmp_path / "published.onnx", "scrfd", tmp_path / "model.onnx")


def test_not_a_number_is_no_small_difference() -> None:
    with pytest.raises(ExportError, match="nan"):
        graph_parity.judged(float("nan"))


def test_the_declarations_tell_how_to_use_the_networks(tmp_path: Path) -> None:
    detector = face_networks.scrfd(tmp_path / "det_10g.onnx", random=True)
    embedder = face_networks.embedder(tmp_path / "w600k_r50.onnx")
    exports = (
        DetectorExport(DetectorSource(detector, "scrfd"), tmp_path, tmp_path),
        EmbedderExport(EmbedderSource(embedder), tmp_path, tmp_path),
    )
    for export in exports:
        assert not export.is_current()
        with Progress() as progress:
            export.make(progress)
        assert export.is_current()
    found = json.loads((tmp_path / "face_detector/1/detector.json").read_text())
    assert found["model"] == "det_10g"
    assert (found["decoder"], found["strides"], found["anchors"]) == ("scrfd", [8, 16, 32], 2)
    assert (found["color"], found["mean"], found["std"]) == ("rgb", 127.5, 128.0)
    embeds = json.loads((tmp_path / "face_embedder/1/metadata.json").read_text())
    assert embeds["model"] == "w600k_r50"
    assert (embeds["color"], embeds["mean"], embeds["std"]) == ("rgb", 127.5, 127.5)
    for facts in (found, embeds):
        assert facts["training"] == facts["license"] == "unknown"
    other = EmbedderExport(EmbedderSource(embedder, "bgr"), tmp_path, tmp_path)
    assert not other.is_current()


def test_sources_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no package ships"):
        DetectorSource(decoder="scrfd")
    with pytest.raises(ExportError, match="unknown decoder"):
        DetectorSource(decoder="yolo")
    with pytest.raises(ExportError, match="cannot be read"):
        EmbedderSource(tmp_path / "missing.onnx").made_from()


def test_the_packaged_embedder_wants_bgr() -> None:
    assert EmbedderSource().form == face_source.PACKAGED_FORM == BGR
    assert EmbedderSource(mean=0.0).form.mean == 0.0


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of its own that the command writes to."""
    monkeypatch.setenv("PENTAD_PATHS__REPOSITORY", str(tmp_path / "repository"))
    (tmp_path / "repository").mkdir()
    return tmp_path / "repository"


def test_files_are_exported_by_the_command(repository: Path, tmp_path: Path) -> None:
    detector = face_networks.scrfd(tmp_path / "det_10g.onnx", random=True)
    embedder = face_networks.embedder(tmp_path / "w600k_r50.onnx")
    assert main(["face_detector", "--weights", str(detector), "--decoder", "scrfd"]) == 0
    wanted = ["--weights", str(embedder), "--color", "bgr", "--mean", "0", "--std", "1"]
    assert main(["face_embedder", *wanted]) == 0
    found = json.loads((repository / "face_detector/1/detector.json").read_text())
    assert found["decoder"] == "scrfd"
    embeds = json.loads((repository / "face_embedder/1/metadata.json").read_text())
    assert (embeds["color"], embeds["mean"], embeds["std"]) == ("bgr", 0.0, 1.0)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["face_detector", "--decoder", "scrfd"], "give its --weights"),
        (["face_detector", "--mean", "1"], "--mean does not concern face_detector"),
        (["face_embedder", "--decoder", "scrfd"], "--decoder does not concern face_embedder"),
        (["face_embedder", "--layer", "3"], "--layer does not concern face_embedder"),
        (["face_embedder", "--as", "other"], "--as is not for face_embedder"),
        (["face_detector", "--weights", "/nowhere.onnx"], "cannot be read"),
        (["face_detector", "--weights", __file__], "is no readable ONNX model"),
    ],
)
def test_mistakes_are_told_in_one_line(
    wanted: list[str], message: str, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(wanted) == 1
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("export: ")
    assert message in line
    assert not list(repository.rglob("*.onnx"))
