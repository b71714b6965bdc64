"""`python -m export faces --pack`: both face networks out of a pack, with a stand-in package."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from pydantic import ValidationError

from export import insightface_pack, packages
from export.__main__ import main
from export.catalogue import INSIGHTFACE_LICENSE
from export.insightface_pack import NOTICE
from gateway.settings import Settings
from tests.support import face_networks, insightface_standin


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """InsightFace's folder with a pack as it publishes them."""
    pack = tmp_path / "insightface" / "models" / "buffalo_l"
    pack.mkdir(parents=True)
    face_networks.scrfd(pack / "det_10g.onnx", random=True)
    face_networks.embedder(pack / "w600k_r50.onnx")
    face_networks.embedder(pack / "genderage.onnx", side=96)
    return tmp_path / "insightface"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of its own; the package is a stand-in."""
    site = insightface_standin.write(tmp_path / "site")
    monkeypatch.setattr(packages, "folder", lambda cache, prefix, lock: site)
    monkeypatch.setenv("PENTAD_PATHS__REPOSITORY", str(tmp_path / "repository"))
    insightface_pack.named.cache_clear()
    (tmp_path / "repository").mkdir()
    return tmp_path / "repository"


def facts(repository: Path) -> tuple[dict[str, object], dict[str, object]]:
    detector = json.loads((repository / "face_detector/1/detector.json").read_text())
    return detector, json.loads((repository / "face_embedder/1/metadata.json").read_text())


def test_a_pack_gives_both_networks(
    repository: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["faces", "--pack", "buffalo_l", "--root", str(root)]
    assert main(command) == 0
    said = capsys.readouterr().err
    assert said.count(NOTICE) == 1
    detector, embedder = facts(repository)
    assert detector["model"] == "buffalo_l/det_10g"
    assert (detector["decoder"], detector["mean"], detector["std"]) == ("scrfd", 127.5, 128.0)
    assert embedder["model"] == "buffalo_l/w600k_r50"
    assert (embedder["color"], embedder["mean"], embedder["std"]) == ("rgb", 127.5, 127.5)
    for one in (detector, embedder):
        assert one["license"] == INSIGHTFACE_LICENSE
        assert "non-commercial" in INSIGHTFACE_LICENSE
        assert len(str(one["sha256"])) == 64
        assert str(root) not in json.dumps(one)
    assert "WebFace600K" in str(embedder["training"])
    assert main(command) == 0
    assert capsys.readouterr().err == "face_detector: up to date\nface_embedder: up to date\n"


def test_the_configuration_names_the_pack(
    repository: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.plan.ROOT", str(root))
    monkeypatch.setenv("PENTAD_IOT__PACK", "buffalo_l")
    assert main(["face_detector", "face_embedder"]) == 0
    assert facts(repository)[0]["model"] == "buffalo_l/det_10g"


def test_one_network_of_a_pack(repository: Path, root: Path) -> None:
    assert main(["face_embedder", "--pack", "buffalo_l", "--root", str(root)]) == 0
    assert not (repository / "face_detector").exists()


def test_networks_that_scale_pixels_themselves_get_them_plain(repository: Path, root: Path) -> None:
    file = root / "models" / "buffalo_l" / "w600k_r50.onnx"
    model = onnx.load(str(file))
    model.graph.node[0].name, model.graph.node[1].name = "_minusscalar0", "_mulscalar0"
    onnx.save(model, str(file))
    assert main(["faces", "--pack", "buffalo_l", "--root", str(root)]) == 0
    assert (facts(repository)[1]["mean"], facts(repository)[1]["std"]) == (0.0, 1.0)


def test_a_pack_that_cannot_be_had(
    repository: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["faces", "--pack", "antelopev2", "--root", str(root)]) == 1
    assert "cannot provide the pack antelopev2: RuntimeError: Failed" in capsys.readouterr().err


def test_a_pack_without_a_detector(
    repository: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "models" / "buffalo_l" / "det_10g.onnx").unlink()
    assert main(["faces", "--pack", "buffalo_l", "--root", str(root)]) == 1
    assert "the pack buffalo_l has no network for detection" in capsys.readouterr().err


def test_a_detector_without_landmarks(
    repository: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = root / "models" / "buffalo_l" / "det_10g.onnx"
    model = onnx.load(str(file))
    del model.graph.output[6:]
    onnx.save(model, str(file))
    assert main(["faces", "--pack", "buffalo_l", "--root", str(root)]) == 1
    assert "differs from SCRFD's in landmarks" in capsys.readouterr().err


def test_an_embedder_of_other_crops(
    repository: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    face_networks.embedder(root / "models" / "buffalo_l" / "w600k_r50.onnx", side=128)
    assert main(["face_embedder", "--pack", "buffalo_l", "--root", str(root)]) == 1
    assert "takes crops of [128, 128] pixels, not 112" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["faces", "--root", "/x"], "--root needs --pack"),
        (["face_detector", "--pack", "a", "--decoder", "scrfd"], "--decoder does not go with"),
        (["face_embedder", "--root", "/x", "--mean", "1"], "--mean does not go with a pack"),
        (["faces", "--mean", "1"], "needs exactly one MODEL"),
        (["text_embedding", "--pack", "a"], "--pack does not concern text_embedding"),
        (["faces", "text_embedding", "--pack", "a"], "--pack needs exactly one MODEL"),
    ],
)
def test_mistakes(
    wanted: list[str], message: str, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(wanted) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "section",
    [
        {"pack": "buffalo_l", "detector": {"weights": "a.onnx", "decoder": "scrfd"}},
        {"pack": "buffalo_l", "embedder": {"weights": "a.onnx"}},
        {"pack": "../elsewhere"},
        {"pack": ""},
    ],
)
def test_settings_that_contradict_themselves(section: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings(iot=section)
