"""Create a peer's environment from its hash-checked lock, with the project's build of torch.

    python -m load_tests.peers.setup litserve infinity

The environments are ``.venv-litserve`` and ``.venv-infinity``; one that is up to date is left
alone.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ("litserve", "infinity")


def setup(name: str) -> Path:
    """Install the peer's environment and return its interpreter.

    Raises:
        subprocess.CalledProcessError: pip failed; its own message is already printed.
    """
    target = ROOT / f".venv-{name}"
    lock = f"../load_tests/peers/{name}"
    command = [sys.executable, str(ROOT / "requirements" / "install.py"), str(target), lock]
    try:
        subprocess.run([*command, "torch-cpu"], check=True)
    except subprocess.CalledProcessError:
        # No CPU build of torch is offered here: the registry's build, with its CUDA libraries.
        subprocess.run([*command, "torch", "cuda"], check=True)
    return target / "bin" / "python"


def main(argv: list[str]) -> int:
    """Set up the named peers, all of them by default."""
    unknown = set(argv) - set(PEERS)
    if unknown:
        print(f"Unknown peer {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}.")
        return 2
    for name in argv or PEERS:
        setup(name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
