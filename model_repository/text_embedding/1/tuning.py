"""A caller's values for its network: configured, kept from an earlier start, or to be measured.

Pure Python, no Triton. Where the variable FOLDER names no folder, nothing is measured: whoever
starts Triton decides (Pentad's launcher sets it).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from calibration import Choice, Figure, Limits, Size, choose, disturbed, measure
from engine_values import Calls, Defaults, NetworkEngine, calls, most_calls

FOLDER = "PENTAD_CALIBRATION"
"""Environment variable: the folder where what was measured is kept; without it nothing is."""
ENGINES = "PENTAD_ENGINES"
"""Environment variable: the folder where the embedded server's backends tell where they compute."""
SECONDS = 1.5
"""Of one measurement."""
LOCK_SECONDS = 6.0
"""How long a model waits for others that measure."""
FIRST_PAUSE, LAST_PAUSE = 1.0, 60.0
"""Seconds between looks whether something else computes."""
TRIES = 5
"""Measurements without a result after which the usual values stay until the next start."""
CANARIES = 2
"""Executions beside a measurement that do not spoil it: the gateway's canaries come every 5 s."""
VERSION = 2
"""Of the files: other measurements, or other sizes, are not those of this module."""
LARGEST_FILE = 65_536
_TRITON = ("NVIDIA_TRITON_SERVER_VERSION", "TRITON_SERVER_VERSION", "CUDA_VISIBLE_DEVICES")


@dataclass(frozen=True)
class Values:
    """How a network is called, and why so.

    Attributes:
        calls: The values.
        source: `configured`, `usual`, `measured` or `kept` (measured at an earlier start).
        figures: What was measured.
        reason: Why nothing was, where something should have been.
    """

    calls: Calls
    source: str
    figures: tuple[Figure, ...] = ()
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return what the model's MODEL_INFO tells of them."""
        row: dict[str, Any] = {**asdict(self.calls), "source": self.source}
        if self.reason:
            row["reason"] = self.reason
        row["figures"] = [_row(figure) for figure in self.figures]
        return row


class Tuning:
    """The values of one caller for one network.

    Attributes:
        network: Its name.
        values: As they are now.

    A network can be called only once the model executes, and a start is no time to measure:
    everything loads. So a model begins with the usual values, or those that were kept, and a thread
    measures as soon as nothing else computes. The model takes the new values over between two
    executions.
    """

    def __init__(
        self,
        kind: Defaults,
        engine: NetworkEngine,
        network: Path,
        *,
        rows: str = "0",
        tokens: str = "0",
        in_flight: str = "0",
    ) -> None:
        """Decide what can be decided without measuring.

        Args:
            kind: Of the caller.
            engine: What is told of the network.
            network: The network's folder in the model repository; may be missing.
            rows: The configuration's word on it, a number; 0: decided here.
            tokens: Likewise.
            in_flight: Likewise.

        Raises:
            ValueError: A word that is no number.
        """
        self.network = network.name
        self._words = {"rows": rows, "tokens": tokens, "in_flight": in_flight}
        usual = calls(kind, engine)
        most = most_calls(kind, engine)
        self._limits = Limits(usual, most, kind.longest_ms, kind.lengths)
        configured = calls(kind, engine, **self._words)
        fixed = all(int(word) for word in self._wanted().values())
        self.values = Values(configured, "configured" if fixed else "usual")
        folder = os.environ.get(FOLDER)
        self._file = Path(folder, f"{kind.name}.{network.name}.json") if folder else None
        self._key = fingerprint(network, asdict(self._limits)) if folder and not fixed else ""
        self._due = bool(folder) and not fixed
        self._executions = 0
        self._changed = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        if self._due:
            self.values = replace(self.values, reason="not measured yet")
            self._due = not self._found()

    def renewed(self, call: Callable[[int, int], None]) -> bool:
        """Whether the values have changed since the last time; to be asked at each execution.

        The first time begins to measure, where that is due.

        Args:
            call: Makes a call of so many rows of so many tokens, and waits for it.
        """
        self._executions += 1
        changed, self._changed = self._changed, False
        if self._due:
            self._due = False
            self._thread = threading.Thread(
                target=self._measure_when_quiet, args=(call,), name="tuning", daemon=True
            )
            self._thread.start()
        return changed

    def stop(self) -> None:
        """End the thread; a call under way is finished."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _measure_when_quiet(self, call: Callable[[int, int], None]) -> None:
        pause, tries = FIRST_PAUSE, 0
        while tries < TRIES and not self._stopping.wait(pause):
            with _alone(self._file, self._stopping) as alone:
                if self._found():
                    self._changed = True
                    return
                if alone and not disturbed():
                    tries += 1
                    if self._measured(call):
                        self._changed = True
                        return
            pause = min(2 * pause, LAST_PAUSE)

    def _measured(self, call: Callable[[int, int], None]) -> bool:
        """Measure, choose and keep; whether that was worth it."""
        before = self._executions

        def asked() -> bool:
            return self._executions - before > CANARIES

        def watched(rows: int, length: int) -> None:
            if self._stopping.is_set() or asked():  # whoever asks does not wait for the rest
                raise InterruptedError
            call(rows, length)

        try:
            figures = measure(watched, self._limits, SECONDS)
        except InterruptedError:
            figures = []
        except Exception as error:
            self.values = replace(self.values, reason=f"not measured: {type(error).__name__}")
            return False
        choice = choose(figures, self._limits)
        busy = asked() or disturbed() or not choice.steady
        if busy or not figures or not self._reached_usual(figures):
            reason = "the machine was too busy to measure" if busy else "too slow to measure"
            self.values = replace(self.values, figures=tuple(figures), reason=reason)
            return False
        self._take(figures, choice, "measured")
        if self._file:
            write(self._file, self._key, figures)
        return True

    def _reached_usual(self, figures: list[Figure]) -> bool:
        """Whether rows up to the usual ones, or up to calls that last too long, were tried."""
        limits = self._limits
        alone = [figure for figure in figures if figure.size.in_flight == 1]
        tried = [figure for figure in alone if figure.size.length == limits.lengths[0]]
        return limits.most.rows == 1 or any(
            figure.size.rows >= limits.usual.rows or figure.milliseconds > limits.longest_ms
            for figure in tried
        )

    def _found(self) -> bool:
        """Whether figures are kept, by an earlier start or by another model; takes them."""
        figures = read(self._file, self._key) if self._file else []
        if figures:
            self._take(figures, choose(figures, self._limits), "kept")
        return bool(figures)

    def _wanted(self) -> dict[str, str]:
        """Return the words that count: callers of rows without tokens say nothing of those."""
        usual = self._limits.usual
        return {name: word for name, word in self._words.items() if getattr(usual, name)}

    def _take(self, figures: list[Figure], choice: Choice, source: str) -> None:
        configured = {name: int(word) for name, word in self._words.items() if int(word)}
        self.values = Values(replace(choice.calls, **configured), source, tuple(figures))


def fingerprint(network: Path, *further: Any) -> str:
    """Return a name for what figures depend on: machine, engine, graph, and what was looked for.

    Args:
        network: Its folder in the repository: every file of its version, by size and time, and
            its configurations.
        further: What else, for JSON.
    """
    files = []
    with contextlib.suppress(OSError):
        for file in sorted(network.glob("*/*")) + sorted(network.glob("*.pbtxt")):
            status = file.stat()
            files.append([str(file.relative_to(network)), status.st_size, status.st_mtime_ns])
    parts = [VERSION, machine(), network.name, _engines(network.name), files, *further]
    return hashlib.sha256(json.dumps(parts, default=str, sort_keys=True).encode()).hexdigest()


def machine() -> dict[str, Any]:
    """Return CPU, cores and GPUs, as far as the kernel tells."""
    lines = _text(Path("/proc/cpuinfo")).splitlines()
    cpu = sorted({line for line in lines if line.startswith(("model", "flags", "Features"))})
    gpus = sorted(
        line
        for file in Path("/proc/driver/nvidia/gpus").glob("*/information")
        for line in _text(file).splitlines()
        if line.startswith("Model")
    )
    return {
        "cpu": cpu or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "quota": _text(Path("/sys/fs/cgroup/cpu.max")).strip(),
        "gpus": gpus,
    }


def _engines(network: str) -> list[Any]:
    """Return what a network's backends report, and the server's version where it is known."""
    reports: set[str] = set()
    if folder := os.environ.get(ENGINES):
        for file in Path(folder).glob(f"{network}.*.json"):
            reports.add(_text(file))
    return [sorted(reports), {name: os.environ.get(name) for name in _TRITON}]


@contextlib.contextmanager
def _alone(file: Path | None, stopping: threading.Event) -> Iterator[bool]:
    """Hold the folder's lock; yields whether nobody else holds it, after LOCK_SECONDS at most.

    Two models that measure at the same time would measure each other. Where there can be no lock
    nobody else holds it.
    """
    if file is None:
        yield True
        return
    with contextlib.ExitStack() as stack:
        alone = True
        with contextlib.suppress(OSError):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            lock = os.open(file.parent / ".lock", flags, 0o600)
            stack.callback(os.close, lock)
            alone = _locked(lock, stopping)
        yield alone


def _locked(lock: int, stopping: threading.Event) -> bool:
    """Whether the lock was had in time; an OSError other than "held" says that there is none."""
    end = time.monotonic() + LOCK_SECONDS
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() >= end or stopping.wait(0.05):
            return False


def read(file: Path, key: str) -> list[Figure]:
    """Return the figures that a file keeps; none where it is damaged or of another key."""
    try:
        if file.stat().st_size > LARGEST_FILE:
            return []
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["key"] != key:
            return []
        return [_figure(row) for row in content["figures"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def write(file: Path, key: str, figures: list[Figure]) -> None:
    """Keep figures, this user's alone; a full disk only means that the next start measures."""
    content = {
        "key": key,
        "measured_at": time.time(),
        "figures": [_row(figure) for figure in figures],
    }
    with contextlib.suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as output:
                json.dump(content, output)
            os.replace(name, file)
        except OSError:
            os.unlink(name)


def _row(figure: Figure) -> dict[str, Any]:
    times = {"ms": round(figure.milliseconds, 3), "fastest_ms": round(figure.fastest, 3)}
    return {**asdict(figure.size), **times}


def _figure(row: Mapping[str, Any]) -> Figure:
    counts = [row[name] for name in ("rows", "length", "in_flight")]
    times = [float(row[name]) for name in ("ms", "fastest_ms")]
    if not all(type(number) is int and number > 0 for number in counts):
        raise ValueError("a count that is none")
    if not all(math.isfinite(number) and number > 0 for number in times):
        raise ValueError("a time that is none")
    return Figure(Size(*counts), *times)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
