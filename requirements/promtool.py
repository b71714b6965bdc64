"""Make sure that promtool, which checks Prometheus' files, is there (standard library only).

    python3 requirements/promtool.py FOLDER

An installed promtool is used as it is. Without one Debian's package `prometheus` is downloaded and
promtool alone is taken out of it into FOLDER: installing the package would start its server. The
tests that need promtool are skipped where neither works, so this never fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from steps import as_command

PACKAGE, INSIDE = "prometheus", "usr/bin/promtool"


def fetch(folder: Path) -> None:
    """Take promtool out of Debian's package into ``folder``.

    Raises:
        OSError: apt-get or dpkg-deb is not there, or the folder cannot be written.
        subprocess.CalledProcessError: one of them failed; its own message is already printed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        if os.geteuid() == 0:
            _run(temporary, "apt-get", "-qq", "update")
        # Its other user may not write into our folder.
        _run(temporary, "apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", PACKAGE)
        (archive,) = Path(temporary).glob("*.deb")
        _run(temporary, "dpkg-deb", "-x", archive.name, "unpacked")
        shutil.move(Path(temporary, "unpacked", INSIDE), folder / "promtool")


def _run(folder: str, *command: str) -> None:
    subprocess.run(command, check=True, cwd=folder, stdout=sys.stderr)


def main(argv: list[str]) -> int:
    """Run from the command line: FOLDER."""
    target = Path(argv[0]) / "promtool"
    if shutil.which("promtool") or target.is_file():
        return 0
    print("Fetching promtool for the tests of the monitoring …", file=sys.stderr, flush=True)
    try:
        fetch(target.parent)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"No promtool ({type(error).__name__}): its tests are skipped.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    as_command(lambda: main(sys.argv[1:]))
