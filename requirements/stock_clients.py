"""Create the environment of the clients that people already use (standard library only).

    python3 requirements/stock_clients.py .venv-stock-clients .venv

The first is made: Python packages from ``stock-clients.lock``, and in its folder ``npm`` what
``stock-clients/package-lock.json`` names, by the Node of the second. Where there is no Java, root
installs Debian's; its test is skipped where that does not work. What is up to date is left alone.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import debian
from install import install
from steps import as_command

from dashboard import STAMP, MissingNodeError, node_of, npm

HERE = Path(__file__).resolve().parent
PACKAGES = HERE / "stock-clients"
FILES = ("package.json", "package-lock.json", ".npmrc")
JAVA = "default-jdk-headless"


def install_npm(target: Path, node: Path) -> None:
    """Install the npm packages in the folder ``target`` unless they are there.

    Raises:
        subprocess.CalledProcessError: npm failed; its own message is already printed.
    """
    content = {name: (PACKAGES / name).read_bytes() for name in FILES}
    wanted = hashlib.sha256(b"".join(content.values())).hexdigest()
    stamp = target / STAMP
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in FILES:
        (target / name).write_bytes(content[name])
    npm(node, "ci", "--loglevel=error", folder=target)
    stamp.write_text(wanted)


def install_java() -> None:
    """Install Debian's JDK where there is none and root may."""
    if shutil.which("java") or not debian.may_install():
        return
    print("Installing a JDK for the test of its HTTP client …", file=sys.stderr, flush=True)
    try:
        debian.install(JAVA)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"No JDK ({type(error).__name__}): its test is skipped.", file=sys.stderr)


def main(argv: list[str]) -> int:
    """Run from the command line: TARGET ENVIRONMENT."""
    target, environment = (Path(os.path.abspath(name)) for name in argv)
    try:
        install(target, ["stock-clients"])
        install_npm(target / "npm", node_of(environment))
    except MissingNodeError:
        print(f"{environment} has no Node: run make env-test first.", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        code = error.returncode
        print(f"Installing the environment failed (it ended with {code}).", file=sys.stderr)
        return 1
    install_java()
    return 0


if __name__ == "__main__":
    as_command(lambda: main(sys.argv[1:]))
