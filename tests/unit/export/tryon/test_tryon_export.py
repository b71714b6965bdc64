"""The configuration reaches the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.__main__ import main
from export.tryon import libraries
from export.tryon.model import TryonExport, model_settings
from gateway.settings import load_settings
from tests.support.model_code import code_of
from tests.support.tryon_model import NETWORKS, ROOT, parameters

with code_of("tryon"):
    from tryon_settings import read_settings


def test_every_setting_is_a_parameter_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    given = model_settings(load_settings())
    assert given.keys() <= parameters().keys()
    found = read_settings({**parameters(), **given}, Path("/nonexistent"))
    assert (found.engine, found.default_resolution, found.restore) == ("warp", "720p", False)
    assert (found.resize_to_resolution, found.steps_file) == (True, None)


def test_settings_take_effect(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "MODEL__ENGINE": "diffusers",
        "MODEL__MODEL_PATH": str(tmp_path),
        "MODEL__DEFAULT_MODE": "base",
        "MODEL__RESTORE": "false",
        "WORKFLOW__STEPS_FILE": str(tmp_path / "steps.py"),
        "WORKFLOW__POSTPROCESS__COMPRESS_OUTPUT": "true",
        "MAX_PIXELS": "5000",
    }.items():
        monkeypatch.setenv(f"PENTAD_TRYON__{name}", value)
    settings = load_settings()
    found = read_settings({**parameters(), **model_settings(settings)}, Path("/nonexistent"))
    assert (found.engine, found.default_mode, found.model_path) == ("diffusers", "base", tmp_path)
    assert (found.restore, found.compress_output, found.max_pixels) == (False, True, 5000)
    assert found.steps_file == tmp_path / "steps.py"
    assert found.libraries == libraries.folder(settings.paths.cache)


def test_a_remote_server_is_named_and_its_key_stays_in_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = tmp_path / "images.key"
    key.write_text("sk-secret")
    for name, value in {
        "ENGINE": "remote",
        "REMOTE__URL": "http://images:8000/v1/",
        "REMOTE__MODEL": "qwen",
        "REMOTE__KEY_FILE": str(key),
        "REMOTE__ATTEMPTS": "2",
    }.items():
        monkeypatch.setenv(f"PENTAD_TRYON__MODEL__{name}", value)
    given = model_settings(load_settings())
    assert "sk-secret" not in str(given)
    found = read_settings({**parameters(), **given}, Path("/nonexistent")).remote
    assert (found.url, found.model, found.key_file) == ("http://images:8000/v1", "qwen", key)
    assert (found.ca_file, found.attempts) == (None, 2)


def test_files_are_written_and_made_anew_when_settings_change(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PENTAD_PATHS__REPOSITORY", str(tmp_path))
    monkeypatch.setenv("PENTAD_PATHS__CACHE", str(ROOT / "var" / "cache"))
    assert main(["tryon"]) == 0
    folder = tmp_path / "tryon" / "1"
    assert all((folder / name).stat().st_size > 2e5 for name in NETWORKS)
    assert TryonExport(load_settings()).is_current()
    monkeypatch.setenv("PENTAD_TRYON__MODEL__DEFAULT_SEED", "7")
    assert not TryonExport(load_settings()).is_current()
    assert main(["tryon"]) == 0
    assert '"default_seed": "7"' in (folder / "settings.json").read_text()


def test_a_suffix_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tryon", "--as", "other"]) == 1
    assert "--as is not for tryon" in capsys.readouterr().err
