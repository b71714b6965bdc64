"""Runs a program where every attempt to reach somebody is seen, and nobody can be reached.

    python -m tests.support.silence REPORT PROGRAM ARGUMENT…

Started by `unshare --user --map-root-user --net --mount`: the network is a loopback device and
nothing else, and the only name server is this process, which notes what it is asked.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

UNSHARE = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
AFTERWARDS = 3.0  # seconds in which a library's thread may still ask
QUIET = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")  # what is kept of the environment


def usable() -> bool:
    """Whether this machine lets us make such a place."""
    if not shutil.which("unshare") or not shutil.which("ip"):
        return False
    tried = subprocess.run([*UNSHARE, "ip", "link", "set", "lo", "up"], capture_output=True)
    return tried.returncode == 0


def environment(home: Path) -> dict[str, str]:
    """The environment of a user's shell: nothing in it that makes libraries silent, no `CI`."""
    kept = {name: os.environ[name] for name in QUIET if name in os.environ}
    return {**kept, "HOME": str(home)}


def heard(home: Path, report: Path, command: list[str], cwd: Path) -> tuple[list[str], list[str]]:
    """Run a program and return the names that were looked up, and the files that are new in HOME.

    Raises:
        AssertionError: the program failed.
    """
    line = [*UNSHARE, sys.executable, "-m", "tests.support.silence", str(report), *command]
    done = subprocess.run(
        line, cwd=cwd, env=environment(home), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written = [str(path.relative_to(home)) for path in home.rglob("*") if not path.is_dir()]
    return json.loads(report.read_text()), written


def _name(packet: bytes) -> str:
    """The name in a question (RFC 1035, 4.1.2)."""
    parts, place = [], 12
    while length := packet[place]:
        parts.append(packet[place + 1 : place + 1 + length].decode("ascii", "replace"))
        place += 1 + length
    return ".".join(parts)


def _answer(server: socket.socket, asked: list[str]) -> None:
    while True:
        packet, sender = server.recvfrom(512)
        asked.append(_name(packet))
        server.sendto(packet[:2] + b"\x81\x83" + packet[4:], sender)  # there is no such name


def main(report: Path, command: list[str]) -> int:
    """Set the place up, run the program, write what was asked, return the program's status."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    resolver = report.with_suffix(".resolv")
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    target = os.path.realpath("/etc/resolv.conf")
    subprocess.run(["mount", "--bind", str(resolver), target], check=True)
    asked: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))
        threading.Thread(target=_answer, args=(server, asked), daemon=True).start()
        status = subprocess.call(command)
        time.sleep(AFTERWARDS)
        report.write_text(json.dumps(sorted(set(asked))))
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
