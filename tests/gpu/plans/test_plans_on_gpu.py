"""A plan built and run by the real TensorRT, and chosen by the gateway."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
for needed in ("tensorrt", "pydantic", "onnx"):
    pytest.importorskip(needed)
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def test_a_plan_from_the_graph_to_the_gateways_choice(tmp_path: Path) -> None:
    from export.tensorrt.build import make_plan, retire_foreign
    from export.tensorrt.engine import TensorRtEngine
    from export.tensorrt.machine import this_machine
    from export.tensorrt.store import PlanStore
    from gateway.triton.tensorrt_plans.choice import PlanChooser
    from gateway.triton.tensorrt_plans.declared import declared
    from gateway.triton.tensorrt_plans.key import PLAN
    from tests.support.plan_models import MODEL, write_model

    repository, machine = tmp_path / "repository", this_machine()
    folder = write_model(repository)
    wanted = declared(repository, MODEL)
    assert wanted is not None
    engine, store = TensorRtEngine(), PlanStore(tmp_path / "plans")
    outcome = make_plan(wanted, repository, store, machine, engine)
    assert outcome.record.key.precision == "FP16"
    assert store.timings(machine)
    x = np.arange(12, dtype=np.float32).reshape(3, 4) / 8
    (y,) = engine.run((folder / PLAN).read_bytes(), {"x": x}, ["y"])
    np.testing.assert_allclose(y, x + 1, atol=1e-2)
    choice = PlanChooser(repository).choose(MODEL)
    assert choice is not None
    assert choice.plan == outcome.record.key.digest
    assert retire_foreign(repository, MODEL, machine) == []
