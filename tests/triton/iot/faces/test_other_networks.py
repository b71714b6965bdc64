"""Other networks, the same code path: an SCRFD detector and an embedder that wants RGB."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.face_network import DetectorExport, EmbedderExport
from export.face_source import DetectorSource, EmbedderSource
from export.folders import copy_code
from export.progress import Progress
from launcher.server import TritonServer
from tests.support import face_networks
from tests.support.face_models import MODELS, FaceModels
from tests.support.text_models import REPOSITORY

# The bright cell of 32 pixels that the network takes for a face of 128 pixels.
CELL = (320, 224)


def picture() -> bytes:
    canvas = Image.new("RGB", (640, 480), (20, 20, 20))
    canvas.paste("white", (*CELL, CELL[0] + 32, CELL[1] + 32))
    file = io.BytesIO()
    canvas.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def other_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaceModels]:
    """A repository of its own, exported from files as InsightFace's would be."""
    folder = tmp_path_factory.mktemp("other")
    repository = folder / "repository"
    for model in MODELS:
        source, target = REPOSITORY / model, repository / model
        (target / "1").mkdir(parents=True)
        shutil.copyfile(source / "config.pbtxt", target / "config.pbtxt")
        copy_code(source / "1", target / "1")
    detector = face_networks.scrfd(folder / "det_10g.onnx")
    embedder = face_networks.embedder(folder / "w600k_r50.onnx")
    with Progress() as progress:
        DetectorExport(DetectorSource(detector, "scrfd"), repository, folder).make(progress)
        EmbedderExport(EmbedderSource(embedder), repository, folder).make(progress)
    log = folder / "triton.log"
    with TritonServer.on_free_ports(repository, log=log) as server:
        models = FaceModels(server)
        models.load(*MODELS)
        yield models
        models.close()


def test_the_other_detector_finds_its_face(other_models: FaceModels) -> None:
    answer = other_models.enroll([picture()])
    (report,) = answer.reports
    assert report["used"]
    assert report["faces"] == 1
    assert report["box"] == pytest.approx([CELL[0] - 64, CELL[1] - 64, 128, 128], abs=0.2)
    marks = face_networks.SCRFD_MARKS * 32 + CELL
    assert np.allclose(report["landmarks"], marks, atol=0.2)
    assert np.linalg.norm(answer.vector) == pytest.approx(1, abs=1e-5)


def test_the_answer_names_the_other_networks(other_models: FaceModels) -> None:
    info = json.loads(other_models.ask([picture()], ("MODEL_INFO",))["MODEL_INFO"][0])
    assert info["model"] == info["embedder"]["model"] == "w600k_r50"
    assert (info["detector"]["model"], info["detector"]["decoder"]) == ("det_10g", "scrfd")
    assert info["embedder"]["source"] == "w600k_r50.onnx"


def test_colours_reach_the_other_embedder_in_its_own_order(other_models: FaceModels) -> None:
    """Red and blue exchanged make another vector; the packaged embedder wants them so."""
    colours = np.full((480, 640, 3), (200, 90, 20), np.uint8)
    vectors = []
    for pixels in (colours, colours[..., ::-1]):
        canvas = Image.fromarray(np.ascontiguousarray(pixels))
        canvas.paste("white", (*CELL, CELL[0] + 32, CELL[1] + 32))
        file = io.BytesIO()
        canvas.save(file, "PNG")
        vectors.append(other_models.enroll([file.getvalue()]).vector)
    assert vectors[0] @ vectors[1] < 0.999


def test_without_an_exported_network_loading_says_so(
    other_models: FaceModels, tmp_path: Path
) -> None:
    declaration = other_models.server.options.repository / "face_detector/1/detector.json"
    hidden = declaration.rename(tmp_path / "detector.json")
    other_models.unload("face_enrollment")
    try:
        with pytest.raises(Exception, match=r"detector\.json"):
            other_models.load("face_enrollment")
    finally:
        hidden.rename(declaration)
        other_models.load("face_enrollment")
