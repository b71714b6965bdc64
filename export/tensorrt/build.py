"""Makes the plan of one model: from the store where it is there, else built, judged and kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from export.artefacts import version_folder
from export.errors import ExportError
from export.graph_parity import session
from export.tensorrt.engine import PlanEngine
from export.tensorrt.golden import Feed, compare, feeds, judged
from export.tensorrt.machine import PlanMachine
from export.tensorrt.store import PlanStore, installed, retire
from gateway.triton.tensorrt_plans.declared import PlanDeclaration, declared
from gateway.triton.tensorrt_plans.key import GRAPH, PlanKey, PlanRecord, file_sha256


@dataclass(frozen=True)
class PlanOutcome:
    """What became of a model's plan.

    Attributes:
        changed: Whether it was not there before.
        refused: What was tried before it, and why it was not good enough.
    """

    record: PlanRecord
    changed: bool
    refused: tuple[str, ...]


def keys(declaration: PlanDeclaration, graph: Path, machine: PlanMachine) -> list[PlanKey]:
    """Keys of a model's plans here, best precision first.

    Raises:
        ExportError: The graph is missing.
    """
    try:
        digest = file_sha256(graph)
    except OSError:
        raise ExportError(f"{declaration.model} has no {graph.name}: run `make models`") from None
    here = (digest, machine.tensorrt, machine.gpu, machine.compute_capability)
    return [PlanKey(*here, precision, declaration.profile) for precision in declaration.precisions]


def make_plan(
    declaration: PlanDeclaration,
    repository: Path,
    store: PlanStore,
    machine: PlanMachine,
    engine: PlanEngine,
) -> PlanOutcome:
    """Installs the plan of the first precision that keeps the guard.

    Raises:
        ExportError: There is none; a plan that was there before is removed.
    """
    folder = version_folder(repository, declaration.model)
    refused = []
    expected: list[tuple[Feed, list[npt.NDArray[Any]]]] = []
    for key in keys(declaration, folder / GRAPH, machine):
        if judged(store.refusal(key) or {}, declaration.guard) is False:
            refused.append(f"{key.precision} was refused before")
            continue
        record = store.find(key)
        if record and (verdict := judged(record.measured, declaration.guard)) is not True:
            if verdict is False:
                refused.append(f"{key.precision}: its plan does not keep the new guard")
                continue
            record = None
        if record is None:
            expected = expected or _golden(declaration, repository, folder / GRAPH)
            try:
                record = _build(key, declaration, folder / GRAPH, store, machine, engine, expected)
            except ExportError as error:
                refused.append(f"{key.precision}: {error}")
                continue
        return PlanOutcome(record, store.install(record, folder), tuple(refused))
    retire(folder)
    raise ExportError(f"{declaration.model} stays on ONNX: {'; '.join(refused)}")


def retire_foreign(repository: Path, model: str, machine: PlanMachine | None) -> list[str]:
    """Remove a model's plan unless it is right for this machine.

    Args:
        repository: Model repository.
        model: Its name.
        machine: None where no plan can be right.

    Returns:
        Why it was removed; empty where it was kept, or there was none.
    """
    folder = version_folder(repository, model)
    record = installed(folder)
    wanted = declared(repository, model)
    if record is None:
        had = (folder / "model.plan").is_file()
        retire(folder)
        return ["no key file"] if had else []
    if machine is None or wanted is None:
        retire(folder)
        return ["no plan can be right here"]
    candidates = keys(wanted, folder / GRAPH, machine)
    if record.key in candidates:
        return []
    retire(folder)
    return min((record.key.differences(key) for key in candidates), key=len)


def _golden(
    declaration: PlanDeclaration, repository: Path, graph: Path
) -> list[tuple[Feed, list[npt.NDArray[Any]]]]:
    """Return inputs, and the graph's outputs to them by ONNX Runtime on the CPU."""
    exported = session(graph)
    return [(feed, exported.run(None, feed)) for feed in feeds(declaration, repository)]


def _build(
    key: PlanKey,
    declaration: PlanDeclaration,
    graph: Path,
    store: PlanStore,
    machine: PlanMachine,
    engine: PlanEngine,
    expected: list[tuple[Feed, list[npt.NDArray[Any]]]],
) -> PlanRecord:
    """Build, judge and keep a plan.

    Raises:
        ExportError: It cannot be built, or failed the guard, which the store remembers.
    """
    import onnx

    graph_outputs = [output.name for output in onnx.load(str(graph)).graph.output]
    plan, timings = engine.build(graph, declaration, key.precision, store.timings(machine))
    store.keep_timings(machine, timings)
    guard = declaration.guard
    values = [
        compare(guard, feed, answers, engine.run(plan, feed, graph_outputs))
        for feed, answers in expected
    ]
    measured = {guard.measure: values, "bound": guard.bound}
    for value in values:
        if not guard.accepts(value):
            store.refuse(key, measured)
            raise ExportError(f"its {guard.measure} to ONNX is {value:.6g}, not {guard.bound:g}")
    record = PlanRecord(key, hashlib.sha256(plan).hexdigest(), measured)
    store.put(plan, record)
    return record
