"""`python -m tests.gpu.check.one_part PART FILE OPTIONS`: one part, in a process of its own.

Its section is in FILE from the beginning on, so that a process that dies or is stopped leaves
what it had found out.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from gateway.privacy import silence_libraries
from gateway.visible_cards import count_in_bus_order
from tests.gpu.check import section as outcome
from tests.gpu.check.options import REPOSITORY, Options
from tests.gpu.check.parts import Part, chosen
from tests.gpu.check.section import Section, SkippedError

NAMED = 5
"""Missing things that are named."""


def main(argv: list[str]) -> int:
    """Run it; the exit status says nothing, FILE says all."""
    silence_libraries()
    count_in_bus_order()
    (part,) = chosen([argv[0]])
    file, given = Path(argv[1]), json.loads(argv[2])
    options = Options(given["device"], given["quick"], Path(given["work"]))
    section = Section(part.name, outcome.RUNNING)
    section.changed = lambda: section.save(file)
    section.changed()
    measure(section, lambda: run(part, section, options))
    return 0


def run(part: Part, section: Section, options: Options) -> None:
    """Call the part, unless something that it needs is missing.

    Raises:
        SkippedError: it is.
    """
    if lacking := missing(part):
        more = f" and {len(lacking) - NAMED} more" if len(lacking) > NAMED else ""
        raise SkippedError(f"needs {', '.join(lacking[:NAMED])}{more}")
    module, _, name = part.call.partition(":")
    call = getattr(importlib.import_module(module), name)
    call(section, options, *([part.argument] if part.argument else []))


def missing(part: Part) -> list[str]:
    """Packages and exported models that it needs and that are not here."""
    packages = [name for name in part.packages if not _importable(name)]
    models = [
        f"the exported model {name} (make models)"
        for name in part.models
        if not (REPOSITORY / name / "1" / "model.onnx").is_file()
    ]
    return packages + models


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # its parent is missing, or it was blocked
        return False


def measure(section: Section, part: Callable[[], None]) -> None:
    """Run a part; whatever it raises is its outcome."""
    begin = time.monotonic()
    state, reason = outcome.OK, ""
    try:
        part()
    except SkippedError as why:
        state, reason = outcome.SKIPPED, str(why)
    except Exception as error:
        state, reason = outcome.FAILED, f"{type(error).__name__}: {error}"
        traceback.print_exc()
    section.state, section.reason = state, reason
    section.seconds = round(time.monotonic() - begin, 1)
    section.changed()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
