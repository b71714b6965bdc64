"""Make sure that the tools are there that build and run images without Docker (standard library).

    python3 requirements/containers.py

Needs root and Debian's packages; what is installed already is used as it is.
"""

from __future__ import annotations

import os
import subprocess
import sys

from debian import CONTAINERS, install, missing
from steps import as_command


def main() -> int:
    """Run from the command line."""
    if os.geteuid() != 0:
        print("The tests of containers need root.", file=sys.stderr)
        return 1
    wanted = missing(CONTAINERS)
    if not wanted:
        return 0
    print(f"Installing {', '.join(wanted)} …", file=sys.stderr, flush=True)
    try:
        install(*wanted)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"They could not be installed ({type(error).__name__}).", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    as_command(main)
