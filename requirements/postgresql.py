"""Make sure that PostgreSQL is there for the tests of the shared job queue (standard library only).

    python3 requirements/postgresql.py

An installed server is used as it is; without one root installs Debian's package, and not the
running cluster that it would make. The tests that need PostgreSQL are skipped where neither works,
so this never fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSIONS = Path("/usr/lib/postgresql")
NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/pentad.conf")


def programs() -> Path | None:
    """Return the folder of the newest installed version's programs, or None."""
    folders = [folder for folder in VERSIONS.glob("*/bin") if (folder / "initdb").is_file()]
    return max(folders, key=lambda folder: int(folder.parent.name), default=None)


def install() -> None:
    """Install Debian's package.

    Raises:
        OSError: apt-get is not there, or /etc cannot be written.
        subprocess.CalledProcessError: apt-get failed; its own message is already printed.
    """
    NO_CLUSTER.parent.mkdir(parents=True, exist_ok=True)
    NO_CLUSTER.write_text("create_main_cluster = false\n")
    variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for args in (["update"], ["install", "-y", "--no-install-recommends", "postgresql"]):
        subprocess.run(["apt-get", "-qq", *args], check=True, env=variables, stdout=sys.stderr)


def main() -> int:
    """Run from the command line."""
    if programs() or os.geteuid() != 0 or not shutil.which("apt-get"):
        return 0
    print("Installing PostgreSQL for the tests of the job queue …", file=sys.stderr, flush=True)
    try:
        install()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"No PostgreSQL ({type(error).__name__}): its tests are skipped.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    from steps import as_command  # beside this script; tests import it from elsewhere

    as_command(main)
