"""The repository with real files."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from export.errors import ExportError
from export.folders import code
from export.repository import main, write

ROOT = Path(__file__).resolve().parents[3]
MODELS = ROOT / "model_repository"


def test_each_model_of_the_copy_stands_alone(tmp_path: Path) -> None:
    target = tmp_path / "copy"
    models = write(MODELS, target)
    assert {"lipsync", "text_embedding", "tryon"} <= set(models)
    files = [path for path in target.rglob("*") if not path.is_dir()]
    assert not any(path.is_symlink() for path in files)
    for version in MODELS.glob("*/1"):
        for file in code(version):
            assert (target / file.relative_to(MODELS)).read_bytes() == file.read_bytes()
    # What a model imports from beside itself is there, whatever other models have.
    own = {
        path.relative_to(path.parents[1] if path.parent.name != "1" else path.parent)
        for version in MODELS.glob("*/1")
        for path in code(version)
    }
    roots = {path.parts[0].removesuffix(".py") for path in own}
    seen = 0
    for version in target.glob("*/1"):
        for file in code(version):
            for module in imported(file):
                if module.split(".")[0] in roots:
                    seen += 1
                    path = version.joinpath(*module.split("."))
                    assert path.with_suffix(".py").is_file() or path.is_dir(), f"{file}: {module}"
    assert seen > 200
    script = f"import sys; sys.path.append({str(target / 'tryon/1')!r}); import pictures.decoding"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_a_second_copy_replaces_what_is_no_longer_there(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "copy"
    (source / "m/1").mkdir(parents=True)
    (source / "m/config.pbtxt").write_text("")
    (source / "m/1/old.py").write_text("")
    (source / "m/1/env").symlink_to(tmp_path)
    (source / "m/1/__pycache__").mkdir()
    assert write(source, target) == ["m"]
    assert [path.name for path in (target / "m/1").iterdir()] == ["old.py"]
    (source / "m/1/old.py").rename(source / "m/1/new.py")
    write(source, target)
    assert [path.name for path in (target / "m/1").iterdir()] == ["new.py"]


def test_a_folder_with_something_else_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis").mkdir()
    with pytest.raises(ExportError, match="thesis"):
        write(MODELS, tmp_path)
    with pytest.raises(ExportError, match="within"):
        write(MODELS, MODELS / "copy")
    assert main([str(tmp_path)]) == 1
    assert "thesis" in capsys.readouterr().err
