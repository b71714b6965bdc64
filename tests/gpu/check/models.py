"""Exported models; those missing are exported where that needs no network."""

from __future__ import annotations

import subprocess
import sys

from tests.gpu.check.options import ROOT, Options
from tests.gpu.check.section import Section, SkippedError

SERVICES = ("lipsync", "text", "vision", "iot", "tryon")


def check(section: Section, options: Options) -> None:
    """Export for each service what is not up to date; note what came of it.

    Raises:
        SkippedError: a service has no models here: its weights are not at hand, for one.
        AssertionError: an export broke without a word for the operator.
    """
    missing = []
    for service in SERVICES:
        command = [sys.executable, "-m", "export", "--services", service]
        ended = subprocess.run(command, cwd=ROOT, check=False, stderr=subprocess.PIPE, text=True)
        sys.stderr.write(ended.stderr)
        lines = ended.stderr.strip().splitlines() or [f"status {ended.returncode}"]
        if ended.returncode == 0:
            section.note(service, "; ".join(line for line in lines if ": " in line))
            continue
        section.note(service, lines[-1])
        assert lines[-1].startswith("export: "), f"{service}: {lines[-1]}"
        missing.append(service)
    if missing:
        raise SkippedError(f"no models of {', '.join(missing)} here")
    section.headline = "the models of all services are there"
