"""TensorRT plans: built, judged against ONNX, and timed."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import onnx
import onnxruntime

from export.errors import ExportError
from export.tensorrt.build import make_plan
from export.tensorrt.command import planned
from export.tensorrt.golden import feeds
from export.tensorrt.store import PlanStore
from gateway.triton.tensorrt_plans.declared import declared
from gateway.triton.tensorrt_plans.key import PLAN
from tests.gpu.check.options import REPOSITORY, Options
from tests.gpu.check.section import Section, SkippedError
from tests.gpu.check.timing import milliseconds


def build(section: Section, options: Options) -> None:
    """Build every plan into a repository of its own; its tuned shape beside ONNX's on the CPU.

    The time includes copies to the device and back.

    Raises:
        SkippedError: plans cannot be built here.
        AssertionError: a model has no plan that keeps its guard.
    """
    from export.tensorrt.engine import TensorRtEngine
    from export.tensorrt.machine import this_machine

    try:
        machine, engine = this_machine(), TensorRtEngine()
    except ExportError as error:
        raise SkippedError(str(error)) from None
    refused = []
    with tempfile.TemporaryDirectory(prefix="pentad-check-") as folder:
        repository, store = Path(folder) / "repository", PlanStore(Path(folder) / "plans")
        repository.mkdir()
        for model in planned(REPOSITORY):
            _copy(model, repository)
        for model in planned(repository):
            wanted = declared(repository, model)
            assert wanted is not None
            begin = time.monotonic()
            try:
                record = make_plan(wanted, repository, store, machine, engine).record
            except ExportError as error:
                section.note(model, str(error))
                refused.append(model)
                continue
            took = time.monotonic() - begin
            section.note(model, f"{record.key.precision} in {took:.0f} s, {record.measured}")
            graph = repository / model / "1" / "model.onnx"
            plan = (repository / model / "1" / PLAN).read_bytes()
            tuned = list(feeds(wanted, repository))[1]
            outputs = [one.name for one in onnx.load(str(graph)).graph.output]
            call = engine.opened(plan)
            on_device = milliseconds(
                lambda call=call, tuned=tuned, outputs=outputs: call(tuned, outputs), options.times
            )
            session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
            on_cpu = milliseconds(
                lambda session=session, tuned=tuned: session.run(None, tuned), options.times
            )
            section.add(f"{model} at its tuned shape", "ms", on_device, on_cpu)
    assert not refused, f"no plan for {', '.join(refused)}"


def _copy(model: str, repository: Path) -> None:
    """Links to a model and to those beside it, whose tokenizers are read."""
    for source in REPOSITORY.iterdir():
        target = repository / source.name
        if source.name == model:
            (target / "1").mkdir(parents=True)
            for name in ("config.pbtxt", "configs", "1/model.onnx"):
                (target / name).symlink_to(source / name)
        elif not target.exists() and (source / "1" / "tokenizer.json").is_file():
            target.symlink_to(source)
