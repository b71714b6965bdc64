"""What a model's TensorRT configuration says of its plan."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.plans.declared import Guard, declared
from tests.support.plan_models import MODEL, PLANNED, PORTABLE, write_model


def test_a_declaration_is_read(tmp_path: Path) -> None:
    write_model(tmp_path)
    found = declared(tmp_path, MODEL)
    assert found is not None
    assert (found.model, found.precisions, found.longest) == (MODEL, ("FP16", "FP32"), 32)
    one = found.inputs["x"]
    assert (one.smallest, one.tuned, one.largest) == ((1, 1), (4, 16), (8, 32))
    assert found.guard == Guard("difference", 0.001)
    assert found.profile == '{"x":[[1,1],[4,16],[8,32]]}'


def test_only_the_backend_tensorrt_has_plans(tmp_path: Path) -> None:
    write_model(tmp_path, planned=PORTABLE)
    assert declared(tmp_path, MODEL) is None
    assert declared(tmp_path, "absent") is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("FP16,FP32", "FP16,INT4", "INT4"),
        ("difference:", "sameness:", "cosine, difference, confidence, not 'sameness'"),
        ("x:4x16", "x:4x64", "not in order"),
        ("x:8x32", "x:4x32", "batches from 1 to 8"),
        ("x:1x1", "x:2x1", "batches from 1 to 8"),
        ("x:4x16", "x:4x16x1", "no shape of x"),
        ("x:1x1", "z:1x1", "inputs are"),
        ('"plan_guard"', '"plan_gard"', "plan_guard"),
        ("dims: [ -1 ]", "dims: [ 5 ]", "no shape of x"),
        ("backend:", "beckend:", "no model configuration"),
    ],
)
def test_contradictions_are_refused(old: str, new: str, said: str, tmp_path: Path) -> None:
    write_model(tmp_path, planned=PLANNED.replace(old, new, 1))
    with pytest.raises(ValueError, match=said):
        declared(tmp_path, MODEL)


@given(st.floats(allow_nan=True), st.floats(0, 1))
def test_not_a_number_never_passes(value: float, bound: float) -> None:
    near, alike = Guard("difference", bound), Guard("cosine", bound)
    assert near.accepts(value) == (value <= bound)
    assert Guard("confidence", bound).accepts(value) == near.accepts(value)
    assert alike.accepts(value) == (value >= bound)
    assert not near.accepts(float("nan"))
    assert not alike.accepts(float("nan"))
