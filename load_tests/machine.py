"""What a measurement was made on: processor, load, versions."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
PACKAGES = {
    ".venv": "torch transformers sentence-transformers bert-score onnxruntime openvino fastapi "
    "uvicorn nvidia-pytriton numpy",
    ".venv-litserve": "litserve torch transformers sentence-transformers",
    ".venv-infinity": "infinity-emb optimum optimum-onnx onnxruntime torch transformers",
}


def processor() -> dict[str, object]:
    """Return the CPU's name, the number of usable cores and its vector extensions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    values = {key.strip(): value.strip() for key, value in fields.items()}
    flags = set(values.get("flags", "").split())
    return {
        "cpu": values.get("model name", platform.machine()),
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in FLAGS if flag in flags],
        "load_average": os.getloadavg()[0],
    }


def versions(root: Path) -> dict[str, dict[str, str]]:
    """Return the versions that matter in each environment that exists."""
    versions_by_folder = {}
    for folder, names in PACKAGES.items():
        python = root / folder / "bin" / "python"
        if not python.exists():
            continue
        code = (
            "import sys, importlib.metadata as m\n"
            "for d in m.distributions():\n"
            "    n = d.metadata['Name'].lower().replace('_', '-')\n"
            "    if n in sys.argv[1:]: print(n, d.version)"
        )
        command = [str(python), "-c", code, *names.split()]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        versions_by_folder[folder] = dict(sorted(line.split() for line in out.splitlines()))
    return versions_by_folder
