"""Builds images with buildah and runs them with podman, in a storage of the checkout's own.

Nothing of the machine's other containers is seen or touched: storage, networks, volumes and the
engine's run-time files lie below ``var/containers``.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.containers import ROOT
from tests.support.package_indexes import PackageIndexes

FOLDER = ROOT / "var" / "containers"
BUILD_SECONDS = 3000


class EngineError(Exception):
    """A command of podman's or buildah's failed; the message is what it said last."""


@dataclass
class Engine:
    """The command lines of buildah and podman on one storage.

    Args:
        folder: Where images, volumes and networks are kept.
    """

    folder: Path = FOLDER

    def __post_init__(self) -> None:
        # Sockets lie here, whose paths must be short.
        short = hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]
        self.run_folder = Path("/run") / f"pentad-containers-{short}"
        for folder in (self.folder / "networks", self.run_folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._storage = [
            "--root", str(self.folder / "storage"),
            "--runroot", str(self.run_folder / "storage"),
            "--storage-driver", "overlay",
        ]  # fmt: skip

    def podman(self, *args: str, check: bool = True, seconds: float = 300) -> str:
        """Run podman and return what it printed.

        Raises:
            EngineError: It failed, and ``check`` is true.
        """
        done = self.run_podman(*args, seconds=seconds)
        if check and done.returncode:
            raise EngineError(f"podman {' '.join(args)}: {done.stderr[-2000:]}")
        return done.stdout

    def run_podman(self, *args: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Run podman and return how it ended, with both outputs."""
        return subprocess.run(
            self.podman_command(*args), capture_output=True, text=True, timeout=seconds
        )

    def podman_command(self, *args: str) -> list[str]:
        """Return the whole command line."""
        return [
            "podman", *self._storage,
            "--tmpdir", str(self.run_folder / "tmp"),
            "--network-config-dir", str(self.folder / "networks"),
            "--runtime", "runc", "--cgroup-manager", "cgroupfs",
            *args,
        ]  # fmt: skip

    def build(
        self,
        dockerfile: Path,
        tag: str,
        arguments: Mapping[str, str],
        *,
        context: Path = ROOT,
        target: str | None = None,
        indexes: PackageIndexes | None = None,
    ) -> str:
        """Build an image by its Dockerfile and return what the build said.

        Args:
            dockerfile: The file; its text is not changed.
            tag: Name of the image.
            arguments: Build arguments.
            context: Folder that it copies from.
            target: Stage that the image is; the last one without.
            indexes: What pip and npm of the build are configured with.

        Raises:
            EngineError: An instruction failed.
        """
        command = [
            "buildah", *self._storage, "build",
            "--isolation", "chroot", "--format", "docker", "--layers", "--pull-never",
            "--file", str(dockerfile), "--tag", tag,
        ]  # fmt: skip
        command += [f"--build-arg={name}={value}" for name, value in arguments.items()]
        command += [f"--target={target}"] if target else []
        for source, inside in (indexes.mounts() if indexes else {}).items():
            command.append(f"--volume={source}:{inside}:ro")
        done = subprocess.run(
            [*command, str(context)], capture_output=True, text=True, timeout=BUILD_SECONDS
        )
        if done.returncode:
            raise EngineError(f"{dockerfile.name}: {(done.stdout + done.stderr)[-4000:]}")
        return done.stdout + done.stderr

    def has_image(self, tag: str) -> bool:
        """Whether an image of this name is in the storage."""
        return self.run_podman("image", "exists", tag).returncode == 0

    def image(self, tag: str) -> dict[str, Any]:
        """Return what `podman image inspect` says of an image."""
        return dict(json.loads(self.podman("image", "inspect", tag))[0])

    def container(self, name: str) -> dict[str, Any]:
        """Return what `podman inspect` says of a container."""
        return dict(json.loads(self.podman("container", "inspect", name))[0])

    def in_image(self, tag: str, command: Sequence[str], *options: str) -> str:
        """Run a command as root in a container of an image, without a network; return its output.

        Raises:
            EngineError: It failed.
        """
        limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"]
        entry = ["--entrypoint", command[0], tag, *command[1:]]
        return self.podman(
            "run", "--rm", "--network", "none", "--user", "0:0", *limits, *options, *entry
        )

    def digests(self, tag: str, folder: str, names: Sequence[str]) -> dict[str, str]:
        """Return the SHA-256 sums of files in an image by their names below a folder of it.

        Raises:
            EngineError: A file is not there.
        """
        script = 'cd "$1" && shift && sha256sum -- "$@"'
        lines = self.in_image(tag, ["bash", "-c", script, "bash", folder, *names]).splitlines()
        return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
