"""`python -m export plans`: builds what is missing, or removes what is not this machine's."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from export.errors import ExportError
from export.tensorrt import COMMAND
from export.tensorrt.build import make_plan, retire_foreign
from export.tensorrt.machine import PlanMachine, this_machine
from export.tensorrt.store import PlanStore
from gateway.settings import load_settings
from gateway.triton.tensorrt_plans.declared import declared


def main(arguments: list[str]) -> int:
    """Run the command; 1: a model stays on ONNX, or plans cannot be built here."""
    parser = argparse.ArgumentParser(prog=f"python -m export {COMMAND}", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="default: all that have a plan")
    parser.add_argument(
        "--retire",
        action="store_true",
        help="build nothing; remove plans of other GPUs, TensorRT versions, graphs or shapes from "
        "the model repository (before Triton starts)",
    )
    options = parser.parse_args(arguments)
    paths = load_settings().paths
    try:
        models = options.models or planned(paths.repository)
        if options.retire:
            return _retire(paths.repository, models)
        return _build(paths.repository, PlanStore(paths.plans), models)
    except (ExportError, ValueError) as error:
        _say(f"export: {error}")
        return 1


def planned(repository: Path) -> list[str]:
    """Models that declare a plan and have been exported.

    Raises:
        ValueError: A declaration is wrong.
    """
    folders = sorted(path for path in repository.iterdir() if (path / "1" / "model.onnx").is_file())
    return [folder.name for folder in folders if declared(repository, folder.name)]


def _retire(repository: Path, models: list[str]) -> int:
    machine: PlanMachine | None = None
    try:
        machine = this_machine()
    except ExportError as error:
        _say(f"export: {error}")
    for model in models:
        if why := retire_foreign(repository, model, machine):
            _say(f"{model}: plan removed ({', '.join(why)})")
    return 0


def _build(repository: Path, store: PlanStore, models: list[str]) -> int:
    from export.tensorrt.engine import TensorRtEngine

    machine, failed = this_machine(), 0
    engine = TensorRtEngine()
    with store.building():
        for model in models:
            if (wanted := declared(repository, model)) is None:
                raise ExportError(f"{model} declares no plan (configs/tensorrt.pbtxt)")
            try:
                outcome = make_plan(wanted, repository, store, machine, engine)
            except ExportError as error:
                _say(f"export: {error}")
                failed = 1
                continue
            for why in outcome.refused:
                _say(f"{model}: {why}")
            state = "written" if outcome.changed else "up to date"
            _say(f"{model}: {outcome.record.key.precision} plan {state}")
    return failed


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
