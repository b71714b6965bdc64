"""One line per step of a set-up on a terminal; what tools say goes to a file (standard library).

Without a terminal nothing is hidden: the tools write where they always did.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

LOG = Path(__file__).resolve().parents[1] / "var" / "log" / "setup.log"
LARGEST = 4 * 2**20  # bytes of the log; a larger one is begun anew
TAIL = 15  # lines of the log that a failure shows
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
NAME_WIDTH = 10
PAUSE_SECONDS = 0.1


def on_terminal() -> bool:
    """Whether a person watches who can see a line change."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def as_command(main: Callable[[], int]) -> None:
    """End the process with what ``main`` returns; as shells say it where Ctrl-C ended it."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)


class Step:
    """A step of the set-up, as one line that ends with a tick, a cross, or nothing to do."""

    def __init__(self, name: str, log: Path = LOG) -> None:
        self.name = name
        self._log = log
        self._begin = time.monotonic()
        self._shown = on_terminal()
        self._busy = False
        self._note = ""
        self._spinner: threading.Thread | None = None

    def __enter__(self) -> Step:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._rest()
        if not self._shown:
            return
        if kind is None:
            self._write(f"✔ {self._note or 'ready'}{self._took()}\n")
        elif kind is not KeyboardInterrupt:
            self._write(f"✘ failed{self._took()}\n")
            lines = [*self._tail(), f"all of it: {self._log}"]
            sys.stderr.write("".join(f"  {line}\n" for line in lines))

    def say(self, note: str) -> None:
        """Set what the line says when the step has ended."""
        self._note = note

    def tell(self, sentence: str) -> None:
        """Say something that is worth a line of its own."""
        self._rest()
        if self._shown:
            sys.stderr.write(f"\r\x1b[2K{sentence}\n")
        else:
            print(sentence, flush=True)

    def run(
        self,
        command: Sequence[str | Path],
        *,
        what: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Run a tool; on a terminal its output goes to the log.

        Args:
            command: the command line.
            what: what it does, for the line.
            cwd: its folder.
            env: its environment.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        if not self._shown:
            subprocess.run(command, cwd=cwd, env=env, check=True)
            return
        self._work(what)
        with _opened(self._log) as log:
            log.write(f"# {self.name}: {what}\n".encode())
            try:
                subprocess.run(
                    command, cwd=cwd, env=env, check=True, stdout=log, stderr=subprocess.STDOUT
                )
            finally:
                self._rest()

    def _work(self, what: str) -> None:
        self._rest()
        self._note, self._busy = what, True
        self._spinner = threading.Thread(target=self._spin, daemon=True)
        self._spinner.start()

    def _spin(self) -> None:
        turn = 0
        while self._busy:
            self._write(f"{FRAMES[turn % len(FRAMES)]} {self._note}{self._took()}")
            turn += 1
            time.sleep(PAUSE_SECONDS)

    def _rest(self) -> None:
        self._busy = False
        if self._spinner:
            self._spinner.join()
            self._spinner, self._note = None, ""

    def _took(self) -> str:
        seconds = time.monotonic() - self._begin
        return f", {seconds:.0f} s" if seconds >= 1 else ""

    def _write(self, text: str) -> None:
        """Write over the step's line."""
        end = "\n" if text.endswith("\n") else ""
        line = f"{self.name:<{NAME_WIDTH}} {text.rstrip()}"
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\x1b[2K{line[:width]}{end}")
        sys.stderr.flush()

    def _tail(self) -> list[str]:
        try:
            with self._log.open(encoding="utf-8", errors="replace") as log:
                return [line.rstrip() for line in deque(log, TAIL)]
        except OSError:
            return []


def _opened(log: Path) -> io.FileIO:
    log.parent.mkdir(parents=True, exist_ok=True)
    large = log.exists() and log.stat().st_size > LARGEST
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if large else os.O_APPEND)
    return io.FileIO(os.open(log, flags, 0o600), "wb")
