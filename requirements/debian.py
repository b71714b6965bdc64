"""Debian's packages for the tests' programs, installed by root where apt-get is (standard library).

    python3 requirements/debian.py promtool FOLDER | postgresql | namespaces

What is installed already is used as it is. The tests that need a program are skipped where it is
not there, so this command never fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

POSTGRESQL = Path("/usr/lib/postgresql")
NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/pentad.conf")
NETWORK = {"ip": "iproute2", "nft": "nftables"}
"""Package by program, of the tests of broken networks."""
CONTAINERS = {
    "buildah": "buildah",  # builds the Dockerfiles
    "podman": "podman",  # runs the images
    "runc": "runc",
    "debootstrap": "debootstrap",  # makes what stands in for the base images
    "/usr/lib/podman/netavark": "netavark",  # networks of containers, published ports
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",  # containers' names in them
    "catatonit": "catatonit",  # `init: true`
}
"""Package by program, of the tests of containers."""


def may_install() -> bool:
    """Whether this user may install packages, and this is a Debian."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def missing(packages: Mapping[str, str]) -> list[str]:
    """Return the packages whose programs are not there, from packages by program."""
    return sorted({package for program, package in packages.items() if not shutil.which(program)})


def install(*packages: str) -> None:
    """Install Debian's packages.

    Raises:
        OSError: apt-get is not there.
        subprocess.CalledProcessError: apt-get failed; its own message is already printed.
    """
    variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for args in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        subprocess.run(["apt-get", "-qq", *args], check=True, env=variables, stdout=sys.stderr)


def postgresql_programs() -> Path | None:
    """Return the folder of the newest installed PostgreSQL's programs, or None."""
    folders = [folder for folder in POSTGRESQL.glob("*/bin") if (folder / "initdb").is_file()]
    return max(folders, key=lambda folder: int(folder.parent.name), default=None)


def _postgresql() -> None:
    """Install the server, and not the running cluster that its package would make."""
    if postgresql_programs() is None and may_install():
        _say("PostgreSQL for the tests of the job queue")
        NO_CLUSTER.parent.mkdir(parents=True, exist_ok=True)
        NO_CLUSTER.write_text("create_main_cluster = false\n")
        install("postgresql")


def _namespaces() -> None:
    wanted = missing(NETWORK)
    if wanted and may_install():
        _say(f"{', '.join(wanted)} for the tests of the network")
        install(*wanted)


def _promtool(folder: Path) -> None:
    """Take promtool alone out of its package: installed, that would start its server."""
    target = folder / "promtool"
    if shutil.which("promtool") or target.is_file():
        return
    _say("promtool for the tests of the monitoring")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        # Its other user may not write into our folder.
        download = ("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", "prometheus")
        update = [("apt-get", "-qq", "update")] if os.geteuid() == 0 else []
        for command in (*update, download):
            subprocess.run(command, check=True, cwd=temporary, stdout=sys.stderr)
        (archive,) = Path(temporary).glob("*.deb")
        unpack = ("dpkg-deb", "-x", archive.name, "unpacked")
        subprocess.run(unpack, check=True, cwd=temporary, stdout=sys.stderr)
        shutil.move(Path(temporary, "unpacked", "usr/bin/promtool"), target)


def _say(what: str) -> None:
    print(f"Installing {what} …", file=sys.stderr, flush=True)


def main(argv: list[str]) -> int:
    """Run from the command line: PROGRAM [FOLDER]."""
    program, *folders = argv
    try:
        if program == "promtool":
            _promtool(Path(folders[0]))
        else:
            {"postgresql": _postgresql, "namespaces": _namespaces}[program]()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"No {program} ({type(error).__name__}): its tests are skipped.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    from steps import as_command  # beside this script; tests import it from elsewhere

    as_command(lambda: main(sys.argv[1:]))
