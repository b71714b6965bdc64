"""Runs parts one after the other, each in a process of its own, within a budget of time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType

from tests.gpu.check import section as outcome
from tests.gpu.check.options import ROOT, Options
from tests.gpu.check.parts import Part
from tests.gpu.check.section import Section

LEAST_SECONDS = 5.0
"""A part that would get less is not begun."""
GRACE_SECONDS = 10.0
"""For a part that is stopped."""
TAIL = 2000
"""Characters of a failed part's output that are shown."""


def sections(
    parts: list[Part],
    options: Options,
    python: Path,
    budget: float,
    variables: Mapping[str, str] = MappingProxyType({}),
    now: Callable[[], float] = time.monotonic,
) -> Iterator[Section]:
    """What came of each part, as soon as it has ended.

    Args:
        parts: in order.
        options: for all of them.
        python: the interpreter that has their packages.
        budget: seconds for all parts together.
        variables: of their environment, beside this process's.
        now: a clock.
    """
    end = now() + budget
    for part in parts:
        left = end - now()
        if left < LEAST_SECONDS:
            yield Section(part.name, outcome.SKIPPED, _used_up(budget))
            continue
        section = _run(part, options, python, variables, min(part.seconds, left))
        if section.state == outcome.RUNNING:
            section.state, section.reason = _stopped(part, left, budget)
        yield section


def _used_up(budget: float) -> str:
    return f"the {budget:g} seconds of --budget were used up"


def _stopped(part: Part, left: float, budget: float) -> tuple[str, str]:
    """State and reason of a part that was not finished in time."""
    if left < part.seconds:
        return outcome.SKIPPED, f"stopped after {left:.0f} s: {_used_up(budget)}"
    return outcome.FAILED, f"not finished after {part.seconds:g} s"


def _run(
    part: Part, options: Options, python: Path, variables: Mapping[str, str], limit: float
) -> Section:
    """One part; its state is ``running`` if it did not end in time."""
    file, log = options.work / f"{part.name}.json", options.work / f"{part.name}.log"
    given = json.dumps({**asdict(options), "work": str(options.work)})
    command = [str(python), "-m", "tests.gpu.check.one_part", part.name, str(file), given]
    begin = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **variables},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            process.wait(limit)
            in_time = True
        except subprocess.TimeoutExpired:
            in_time = False
        finally:
            _end(process)
    section = _read(part, file)
    if in_time and section.state == outcome.RUNNING:
        section.state, section.reason = outcome.FAILED, _death(process.returncode)
    if section.state in (outcome.RUNNING, outcome.FAILED):
        sys.stderr.write(log.read_text(errors="replace")[-TAIL:])
    section.seconds = round(time.monotonic() - begin, 1)
    return section


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a part and what is left of it: it leads a session of its own."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)  # so that it stops the servers that it started
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(part: Part, file: Path) -> Section:
    try:
        return Section.read(file)
    except OSError:
        return Section(part.name, outcome.RUNNING)


def _death(status: int) -> str:
    """Why a process ended before its part did."""
    if status < 0:
        return f"its process was ended by {signal.Signals(-status).name}"
    return f"its process ended with status {status}"
