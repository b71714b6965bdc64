"""Make sure that the programs of the tests of broken networks are there (standard library only).

    python3 requirements/namespaces.py

Root installs Debian's packages of those that are missing. Only root can run these tests; they are
skipped where a program is not there, so this never fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PACKAGES = {"ip": "iproute2", "nft": "nftables"}


def main() -> int:
    """Run from the command line."""
    missing = [package for program, package in PACKAGES.items() if not shutil.which(program)]
    if not missing or os.geteuid() != 0 or not shutil.which("apt-get"):
        return 0
    print(f"Installing {', '.join(missing)} for the tests of the network …", file=sys.stderr)
    variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        for args in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
            command = ["apt-get", "-qq", *args]
            subprocess.run(command, check=True, env=variables, stdout=sys.stderr)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"Not installed ({type(error).__name__}): tests are skipped.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # as shells say it
