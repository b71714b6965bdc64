"""Make sure that a Chromium is installed for the browser tests (standard library only).

    python3 requirements/chromium.py [--find]

Prints the path of its executable. An installed Chromium or Chrome is used as it is; without one
root installs Debian's package. ``--find`` never installs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

from debian import install, may_install
from steps import as_command

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
# The fonts give the pages the same metrics everywhere.
PACKAGES = ("chromium", "fonts-dejavu-core")


def find() -> str | None:
    """Return the path of an installed browser, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def main(argv: list[str]) -> int:
    """Run from the command line: [--find]."""
    if not find() and "--find" not in argv and may_install():
        print("Installing Chromium for the browser tests …", file=sys.stderr, flush=True)
        try:
            install(*PACKAGES)
        except subprocess.CalledProcessError as error:
            print(f"Installing Chromium failed ({error.returncode}).", file=sys.stderr)
    path = find()
    if path is None:
        print(
            "The browser tests need Chromium or Chrome (Debian: apt-get install chromium).",
            file=sys.stderr,
        )
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    as_command(lambda: main(sys.argv[1:]))
