"""The command `pentad`: one front door to what the packages do.

Each verb hands the rest of the line to the command line that does the work, which
`python -m gateway`, `python -m launcher` and `python -m export` start as well.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

from gateway.standard_streams import as_command, say

MISSING = 3
"""Exit status where a verb needs packages that are not installed."""


@dataclass(frozen=True)
class Verb:
    """One verb of the command.

    Attributes:
        summary: what it does, in a line.
        module: whose ``main`` does it.
        words: what stands before the caller's own words.
        extra: extra of the package that brings what it needs, or "".
    """

    summary: str
    module: str
    words: tuple[str, ...] = ()
    extra: str = ""


VERBS = {
    "run": Verb("run Triton and the gateway until a signal", "launcher", ("run",), "triton"),
    "serve": Verb("run the gateway alone, against triton.url", "gateway", ("serve",)),
    "triton": Verb("run Triton alone", "launcher", ("triton",), "triton"),
    "models": Verb("make the models of the services in use", "export", (), "export"),
    "capacity": Verb("say whether a machine is large enough", "gateway", ("capacity",)),
    "check": Verb("check this machine and the configuration", "launcher", ("check",), "triton"),
    "config": Verb("print or check the configuration", "gateway", ("config",)),
    "openapi": Verb("print the API document of a port", "gateway", ("openapi",)),
}


def _overview() -> str:
    lines = [f"  {name:<10} {verb.summary}" for name, verb in VERBS.items()]
    lines.append(f"  {'version':<10} print the version")
    return "\n".join(["verbs:", *lines, "", "`pentad VERB --help` says what a verb takes."])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pentad",
        description="Five GPU services on one Triton Inference Server.",
        epilog=_overview(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=version())
    parser.add_argument("verb", choices=[*VERBS, "version"], metavar="VERB", help="see below")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="…", help="the verb's own")
    return parser


def version() -> str:
    """Return the installed version; of a checkout that is not installed, that it is one."""
    try:
        return installed_version("pentad")
    except PackageNotFoundError:
        return "not installed (a checkout)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit status; 2: the line is wrong, 3: packages are missing."""
    options = _parser().parse_args(arguments)
    if options.verb == "version":
        sys.stdout.write(f"{version()}\n")
        return 0
    verb = VERBS[options.verb]
    prog = "pentad" if verb.words else f"pentad {options.verb}"
    try:  # some packages are imported when there is something to do
        command = importlib.import_module(f"{verb.module}.__main__")
        status: int = command.main([*verb.words, *options.words], prog)
    except ModuleNotFoundError as error:
        say(
            f"pentad {options.verb}: the package {error.name} is not installed; "
            f"pip install 'pentad[{verb.extra}]' brings it"
        )
        return MISSING
    return status


def entry() -> int:
    """Run the command of the installed package."""
    return as_command(main)


if __name__ == "__main__":
    sys.exit(entry())
