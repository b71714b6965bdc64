"""The real package `insightface` on a pack of generated networks: what it finds in a picture and
what Pentad's graphs, decoder and alignment find are the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from export import packages
from export.__main__ import main
from export.insightface_pack import LOCK
from export.progress import Progress
from tests.support import face_networks
from tests.support.model_code import code_of

ROOT = Path(__file__).resolve().parents[3]
ITSELF = """
import json, sys
sys.path.append(sys.argv[1])
import numpy as np
from insightface.app import FaceAnalysis
picture = np.load(sys.argv[3])[:, :, ::-1]  # it takes BGR
app = FaceAnalysis("buffalo_l", root=sys.argv[2], providers=["CPUExecutionProvider"])
app.prepare(ctx_id=-1, det_size=(640, 640))
found = [
    {"box": face.bbox.tolist(), "score": float(face.det_score), "landmarks": face.kps.tolist(),
     "embedding": face.embedding.tolist()}
    for face in app.get(picture)
]
open(sys.argv[4], "w").write(json.dumps(found))
"""


@pytest.fixture(scope="module")
def site() -> Path:
    folder = packages.folder(ROOT / "var" / "cache", "insightface", LOCK)
    with Progress() as progress:
        return packages.install(folder, LOCK, "insightface", progress)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    pack = tmp_path / "insightface" / "models" / "buffalo_l"
    pack.mkdir(parents=True)
    face_networks.scrfd(pack / "det_10g.onnx")
    face_networks.embedder(pack / "w600k_r50.onnx")
    return tmp_path / "insightface"


@pytest.fixture
def repository(tmp_path: Path, root: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    repository = tmp_path / "repository"
    repository.mkdir()
    monkeypatch.setenv("PENTAD_PATHS__REPOSITORY", str(repository))
    monkeypatch.chdir(ROOT)
    assert main(["faces", "--pack", "buffalo_l", "--root", str(root)]) == 0
    return repository


def picture() -> np.ndarray:
    """UINT8 [480, 640, 3], RGB: a bright cell of 32 pixels, which the detector takes for a face."""
    noise = np.random.default_rng(3).integers(0, 120, (480, 640, 3), np.uint8)
    noise[:, :, 2] //= 3
    noise[224:256, 320:352] = (255, 252, 255)
    return noise


def itself(site: Path, root: Path, tmp_path: Path, image: np.ndarray) -> list[dict[str, Any]]:
    np.save(tmp_path / "picture.npy", image)
    answer = tmp_path / "answer.json"
    given = [str(site), str(root), str(tmp_path / "picture.npy"), str(answer)]
    subprocess.run([sys.executable, "-c", ITSELF, *given], check=True, capture_output=True)
    found: list[dict[str, Any]] = json.loads(answer.read_text())
    return found


def served(repository: Path, network: str, images: np.ndarray) -> np.ndarray:
    file = repository / network / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": images})[0])


def test_the_same_face_and_the_same_vector(
    repository: Path, site: Path, root: Path, tmp_path: Path
) -> None:
    with code_of("face_enrollment"):
        from face_detection import Detector, find_faces, letterbox
        from faces.alignment import similarity, warped

    image = picture()
    (theirs,) = itself(site, root, tmp_path, image)
    detector = Detector.read(repository / "face_detector" / "1")
    fitted, scale = letterbox(image, 640, detector.multiple)
    (predictions,) = served(repository, "face_detector", fitted[None])
    faces = find_faces(predictions, fitted.shape[:2], scale, detector)
    assert len(faces) == 1
    assert faces.scores[0] == pytest.approx(theirs["score"], abs=1e-4)
    np.testing.assert_allclose(faces.boxes[0], theirs["box"], atol=0.01)
    np.testing.assert_allclose(faces.landmarks[0], theirs["landmarks"], atol=0.01)

    crop = warped(image, similarity(faces.landmarks[0]))
    (vector,) = served(repository, "face_embedder", crop[None])
    other = np.array(theirs["embedding"])
    cosine = vector @ other / (np.linalg.norm(vector) * np.linalg.norm(other))
    assert cosine > 0.999
    turned = served(repository, "face_embedder", np.ascontiguousarray(crop[None, :, :, ::-1]))[0]
    wrong = turned @ other / (np.linalg.norm(turned) * np.linalg.norm(other))
    assert wrong < cosine - 0.001, "red and blue exchanged make no difference here"


def test_a_missing_pack_is_asked_for_where_there_is_no_network(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PENTAD_PATHS__REPOSITORY", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nobody
    monkeypatch.setenv("NO_PROXY", "")
    assert main(["faces", "--pack", "buffalo_s", "--root", str(tmp_path / "empty")]) == 1
    assert "cannot provide the pack buffalo_s" in capsys.readouterr().err
