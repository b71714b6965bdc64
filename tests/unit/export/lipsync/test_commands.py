"""`python -m export` for lip-sync: tenants, devices, audio encoder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from export.__main__ import main
from export.errors import ExportError
from export.lipsync import command
from export.lipsync.audio_architecture import write_random_encoder
from export.lipsync.audio_encoder import AudioEncoderExport
from export.lipsync.audio_encoder_graph import write_encoder
from export.lipsync.devices import devices_are_current, write_devices
from export.lipsync.export import LipsyncExport
from export.lipsync.importing import import_files
from export.progress import Progress
from export.selection import MODELS
from gateway.model_config import load
from gateway.settings import Settings
from tests.support.lipsync_tenants import write_tenant

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The lip-sync models alone."""
    folder = tmp_path / "repository"
    for model in ("lipsync", "audio_encoder"):
        shutil.copytree(
            ROOT / "model_repository" / model,
            folder / model,
            ignore=shutil.ignore_patterns("*.json", "*.onnx", "__pycache__"),
        )
    return folder


def settings(tmp_path: Path, **lipsync: object) -> Settings:
    paths = {"repository": tmp_path / "repository", "state": tmp_path / "state"}
    return Settings(services=["lipsync"], paths=paths, lipsync=lipsync)


def test_which_command_lines_are_lip_syncs_own() -> None:
    assert command.concerns(["lipsync", "a.onnx"], MODELS)
    assert command.concerns(["lipsync", "--force", "a.onnx"], MODELS)
    assert command.concerns(["lipsync-demo"], MODELS)
    assert not command.concerns(["lipsync"], MODELS)
    assert not command.concerns(["lipsync", "--force"], MODELS)
    assert not command.concerns(["lipsync", "audio_encoder"], MODELS)
    assert not command.concerns(["bertscore", "a.onnx"], MODELS)
    assert not command.concerns([], MODELS)


def test_importing_refuses_bad_files_and_serves_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = [write_tenant(tmp_path, f"good{seed}", seed) for seed in (1, 2)]
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(good[0].read_bytes()[:5000])
    files = [str(good[0]), str(bad), str(good[1])]
    assert main(["lipsync", "--layout", "all", *files]) == 1
    said = capsys.readouterr().err
    assert "2 imported, 1 refused" in said
    assert "tenant_file_invalid" in said
    folder = tmp_path / ".pentad" / "good1.onnx"
    assert {file.name for file in folder.glob("*.json")} == {"blocked.json", "half.json"}
    assert main(["lipsync", "--layout", "blocked", str(good[0])]) == 0
    assert "up to date" in capsys.readouterr().err


def test_tenants_of_one_network_get_one_graph(tmp_path: Path) -> None:
    files = [write_tenant(tmp_path, str(seed), seed) for seed in range(3)]
    files.append(write_tenant(tmp_path, "wide", 3, width=0.25))
    done: list[Path] = []
    results = import_files(
        files,
        ROOT / "model_repository",
        layouts=("blocked",),
        done=lambda result: done.append(result.file),
    )
    assert [result.file for result in results] == files
    assert sorted(done) == sorted(files)
    assert len({result.graph for result in results}) == 2
    assert all(result.error is None and result.new for result in results)


def test_the_demo_command_writes_where_it_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    arguments = ["--tenants", "2", "--width", "0.125", "--folder", str(folder), "--static"]
    with pytest.raises(SystemExit, match="2"):
        main(["lipsync-demo", *arguments])  # a narrow network has no room for a face
    assert main(["lipsync-demo", "--random", *arguments]) == 0
    assert [file.name for file in sorted(folder.iterdir())] == [
        "tenant_0001.onnx",
        "tenant_0002.onnx",
    ]


def test_further_devices_are_folders_that_come_and_go(tmp_path: Path, repository: Path) -> None:
    three = settings(tmp_path, gpus={"count": 3})
    assert not devices_are_current(three)
    write_devices(three)
    assert devices_are_current(three)
    for number in (1, 2):
        folder = repository / f"lipsync_{number}"
        config = load(folder / "config.pbtxt")
        assert config.name == f"lipsync_{number}"
        assert config.parameters["device"].string_value == f"auto:{number}"
        assert (folder / "1" / "model.py").samefile(repository / "lipsync" / "1" / "model.py")
        assert (folder / ".gitignore").read_text() == "*\n"
    one = settings(tmp_path, gpus={"count": 1})
    assert not devices_are_current(one)
    write_devices(one)
    assert sorted(entry.name for entry in repository.iterdir()) == ["audio_encoder", "lipsync"]
    assert (repository / "lipsync" / "1" / "model.py").is_file()


def test_the_configuration_reaches_the_model(tmp_path: Path, repository: Path) -> None:
    given = settings(
        tmp_path,
        gpus={"enabled": False, "memory_gb_per_gpu": 24},
        mask=(5, 5, 314, 309),
        blob_folder=tmp_path / "blobs",
    )
    write_devices(given)
    assert devices_are_current(given)
    own = (repository / "lipsync" / "1" / "settings.json").read_text()
    for part in ('"cpu"', '"5,5,314,309"', '"24.0"', str(tmp_path / "blobs")):
        assert part in own
    assert not devices_are_current(settings(tmp_path))


def test_demo_tenants_are_made_when_nobody_else_is_configured(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import export.lipsync.demo as module

    narrow = module.write_tenants
    asked: list[bool] = []

    def written(*given: Any, face: bool, **named: Any) -> list[Path]:
        asked.append(face)
        return narrow(*given, width=0.125, **named)

    monkeypatch.setattr(module, "write_tenants", written)
    export = LipsyncExport(settings(tmp_path))
    assert not export.is_current()
    with Progress() as progress:
        export.make(progress)
    assert export.is_current()
    assert asked == [True]
    folder = tmp_path / "state" / "lipsync" / "demo"
    assert len(list(folder.glob("*.onnx"))) == 2
    assert len(list(folder.glob(".pentad/*/blocked.json"))) == 2
    (folder / "tenant_0002.onnx").unlink()
    assert not export.is_current()
    own = settings(tmp_path, models={"sanders": {"model_path": "/nowhere.onnx"}})
    assert LipsyncExport(own).is_current()


def test_the_demos_audio_encoder(tmp_path: Path, repository: Path) -> None:
    file = tmp_path / "state" / "encoder.onnx"
    export = AudioEncoderExport(file, True, repository)
    assert not export.is_current()
    with Progress() as progress:
        export.make(progress)
    assert export.is_current()
    model = repository / "audio_encoder" / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(str(model))
    windows = np.random.default_rng(1).normal(0, 2, (7, 1, 80, 16)).astype(np.float32)
    (got,) = session.run(["audio_features"], {"mel": windows})
    original = onnxruntime.InferenceSession(str(file))
    for window, features in zip(windows, got, strict=True):
        (expected,) = original.run(None, {"mel_input": window[None]})
        np.testing.assert_allclose(features, expected[0], atol=1e-4)
    assert np.abs(got[0] - got[1]).max() > 1e-3
    write_random_encoder(file, seed=3)
    assert not export.is_current()
    with Progress() as progress:
        export.make(progress)  # another encoder in the demo's place is an older demo's
    assert export.is_current()


def encoder(shape: list[int], reshaped: bool = False, name: str = "mel_spectrogram") -> bytes:
    """A linear encoder; `reshaped` flattens with a batch of one written into the graph."""
    weights = np.random.default_rng(0).normal(0, 0.01, (1280, 512)).astype(np.float32)
    constants = [
        helper.make_tensor("w", TensorProto.FLOAT, weights.shape, weights.tobytes(), raw=True),
        helper.make_tensor("s", TensorProto.INT64, [2], [1, 1280]),
    ]
    flat = ("Reshape", [name, "s"], ["f"]) if reshaped else ("Flatten", [name], ["f"])
    nodes = [helper.make_node(*flat), helper.make_node("MatMul", ["f", "w"], ["audio_features"])]
    made = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("audio_features", TensorProto.FLOAT, [1, 512])],
        initializer=constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("reshaped", [False, True])
def test_encoders_that_others_made(reshaped: bool, tmp_path: Path) -> None:
    source = tmp_path / "encoder.onnx"
    source.write_bytes(encoder([1, 1, 80, 16], reshaped))
    assert write_encoder(source, tmp_path / "model.onnx")[0] < 1e-4
    made = onnx.load(str(tmp_path / "model.onnx"))
    assert [value.name for value in made.graph.input] == ["mel"]


@pytest.mark.parametrize(
    "content",
    [b"", b"no model", encoder([1, 1, 16, 80]), encoder([1, 1, 80, 16], name="spectrum")],
)
def test_other_encoders_are_refused(content: bytes, tmp_path: Path) -> None:
    source = tmp_path / "encoder.onnx"
    source.write_bytes(content)
    with pytest.raises(ExportError, match=r"encoder\.onnx"):
        write_encoder(source, tmp_path / "model.onnx")
