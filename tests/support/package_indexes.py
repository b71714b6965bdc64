"""What this machine's pip and npm are configured with, for builds and containers.

An image is built by its Dockerfile's own instructions; where the machine takes its packages from
is no part of them. The settings are handed in as files that are mounted while a build runs, and
are in no layer.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

BUNDLES = ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE")
"""Variables that name certificates of authorities beside the usual ones."""
_LINE = re.compile(r"^(?P<section>[^.]+)\.(?P<key>[\w.-]+)='?(?P<value>.*?)'?$", re.M | re.S)


@dataclass
class PackageIndexes:
    """Configuration files for pip and npm, and the local folders that they name.

    Args:
        folder: Where the files are written.
    """

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)  # npm's settings may hold a token
        self._settings = pip_settings()
        self._pip = self.folder / "pip.conf"
        lines = [f"{key} = {value}" for key, value in sorted(self._settings.items())]
        self._pip.write_text("\n".join(["[global]", *lines]) + "\n")
        self._npm = self.folder / "npmrc"
        own = Path.home() / ".npmrc"
        text = own.read_text() if own.is_file() else ""
        self._bundle = next((os.environ[name] for name in BUNDLES if os.environ.get(name)), None)
        if self._bundle:
            text += f"\ncafile={self._bundle}\n"
        self._npm.write_text(text)

    @property
    def extra(self) -> str | None:
        """Further indexes of pip's, separated by spaces; a Dockerfile's own replace them."""
        return self._settings.get("extra-index-url")

    def mounts(self, home: str = "/root") -> dict[str, str]:
        """Return the files and folders to mount, by their path on this machine.

        Args:
            home: Home of the user who runs npm there.
        """
        mounts = {str(self._pip): "/etc/pip.conf", str(self._npm): f"{home}/.npmrc"}
        mounts |= {path: path for path in local_paths(self._settings)}
        if self._bundle:
            mounts[self._bundle] = self._bundle
        return mounts


def pip_settings() -> dict[str, str]:
    """Return pip's settings for `pip install` here: files, then variables, the last one wins."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, str] = {}
    rows = [_LINE.match(line) for line in out.splitlines()]
    for row in sorted(filter(None, rows), key=lambda row: row["section"] == ":env:"):
        if row["section"] in ("global", "install", ":env:"):
            found[row["key"]] = row["value"].replace("\\n", " ")
    return found


def local_paths(settings: dict[str, str]) -> set[str]:
    """Return the files and folders of this machine that settings of pip name."""
    paths = set()
    for value in settings.values():
        for word in shlex.split(value):
            path = Path(urlsplit(word).path if word.startswith("file:") else word)
            if path.is_absolute() and path.exists():
                # The links of an index's pages go to the folder beside them.
                paths.add(str(path.parent if path.name == "simple" else path))
    # A folder brings all that is in it.
    return {path for path in paths if not any(path.startswith(f"{other}/") for other in paths)}
