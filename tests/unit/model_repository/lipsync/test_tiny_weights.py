"""Weights too small to matter become zero wherever a graph keeps them; denormals do in a thread."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from frames.denormals import flush_denormals
from onnx import helper, numpy_helper
from tenants.blob import OpenBlob
from tenants.golden import MAX_DIFFERENCE
from tenants.importing import import_tenant
from tenants.layout import BLOCKED, HALF
from tenants.tiny_weights import BOUND, TinyWeights, flush_tiny_weights

from tests.support.tiny_networks import network

FOLDER = Path(__file__).resolve().parents[4] / "model_repository" / "lipsync" / "1"
WEIGHTS = [1.0, -1e-40, 1e-25, 0.0, -2e-19, 1e-45]
KEPT = [1.0, 0.0, 0.0, 0.0, -2e-19, 0.0]
COUNTED = TinyWeights(zeroed=3, denormal=2)


def tensor(dtype: type = np.float32, name: str = "w") -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(WEIGHTS, dtype), name)


def initialiser(weights: onnx.TensorProto) -> onnx.ModelProto:
    return network([helper.make_node("Identity", ["w"], ["y"])], [], [], [weights])


def constant(**attribute: object) -> onnx.ModelProto:
    return network([helper.make_node("Constant", [], ["y"], **attribute)], [], [], [])


def sparse_initialiser() -> onnx.ModelProto:
    places = numpy_helper.from_array(np.arange(len(WEIGHTS), dtype=np.int64), "places")
    model = network([helper.make_node("Identity", ["w"], ["y"])], [], [], [])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(tensor(), places, [100]))
    return model


def branch() -> onnx.ModelProto:
    inner = helper.make_graph([helper.make_node("Identity", ["w"], ["z"])], "inner", [], [])
    inner.initializer.append(tensor())
    other = helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "other", [], [])
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=other)
    return network([node], [], [], [])


def local_function() -> onnx.ModelProto:
    body = [helper.make_node("Constant", [], ["z"], value=tensor())]
    made = helper.make_function("own", "F", [], ["z"], body, [helper.make_opsetid("", 17)])
    model = network([helper.make_node("F", [], ["y"], domain="own")], [], [], [])
    model.functions.append(made)
    return model


@pytest.mark.parametrize(
    ("model", "read"),
    [
        (initialiser(tensor()), lambda graph: graph.graph.initializer[0]),
        (initialiser(tensor(np.float64)), lambda graph: graph.graph.initializer[0]),
        (constant(value=tensor()), lambda graph: graph.graph.node[0].attribute[0].t),
        (sparse_initialiser(), lambda graph: graph.graph.sparse_initializer[0].values),
        (branch(), lambda graph: _inner(graph).initializer[0]),
        (local_function(), lambda graph: graph.functions[0].node[0].attribute[0].t),
    ],
    ids=["FP32", "FP64", "constant", "sparse", "inner graph", "local function"],
)
def test_small_weights_become_zero_wherever_they_are(model: onnx.ModelProto, read) -> None:
    assert flush_tiny_weights(model) == COUNTED
    np.testing.assert_allclose(numpy_helper.to_array(read(model)), KEPT, rtol=1e-6)
    assert flush_tiny_weights(model) == TinyWeights(), "nothing is left for a second time"


def _inner(model: onnx.ModelProto) -> onnx.GraphProto:
    return next(item.g for item in model.graph.node[0].attribute if item.name == "then_branch")


def test_a_list_of_numbers_is_weights_too() -> None:
    model = constant(value_floats=WEIGHTS)
    assert flush_tiny_weights(model) == COUNTED
    np.testing.assert_allclose(model.graph.node[0].attribute[0].floats, KEPT, rtol=1e-6)


def test_bfloat16_has_the_exponents_of_fp32() -> None:
    model = initialiser(tensor(ml_dtypes.bfloat16))
    assert flush_tiny_weights(model).zeroed == 2  # it has no 1e-45
    weights = numpy_helper.to_array(model.graph.initializer[0]).astype(np.float32)
    np.testing.assert_allclose(weights, KEPT, rtol=1e-2)


def test_denormals_of_half_precision_are_kept() -> None:
    """They are normal where a CPU computes, and a tenth of the weights of some networks."""
    given = np.array([6e-8, 1e-6, 6e-5, 1.0], np.float16)
    model = initialiser(numpy_helper.from_array(given, "w"))
    assert flush_tiny_weights(model) == TinyWeights()
    assert (numpy_helper.to_array(model.graph.initializer[0]) == given).all()


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_single_number_may_guard_a_division(shape: tuple[int, ...]) -> None:
    guard = np.full(shape, 1e-30, np.float32)
    model = initialiser(numpy_helper.from_array(guard, "w"))
    assert flush_tiny_weights(model) == TinyWeights()
    assert numpy_helper.to_array(model.graph.initializer[0]).item() == np.float32(1e-30)


def test_whole_numbers_are_no_weights() -> None:
    model = initialiser(numpy_helper.from_array(np.zeros(3, np.int64), "w"))
    assert flush_tiny_weights(model) == TinyWeights()


@pytest.mark.parametrize("layout", [BLOCKED, HALF])
def test_an_imported_tenant_has_none(layout: str, tenant: Path, tmp_path: Path) -> None:
    model = onnx.load(str(tenant))
    kernel = next(item for item in model.graph.initializer if len(item.dims) == 4)
    weights = numpy_helper.to_array(kernel).copy()
    weights.reshape(-1)[:3] = [1e-40, -1e-30, 1e-19]
    kernel.CopyFrom(numpy_helper.from_array(weights, kernel.name))
    file = tmp_path / "tenant.onnx"
    onnx.save(model, str(file))
    manifest = import_tenant(file, tmp_path / "import", layout)
    assert manifest.tiny_weights == {"bound": BOUND, "zeroed": 3, "denormal": 1}
    if layout == BLOCKED:
        assert manifest.quality["max_difference"] <= MAX_DIFFERENCE
    for values in OpenBlob(tmp_path / "import", manifest).arrays().values():
        sizes = np.abs(values.astype(np.float32))
        assert not ((sizes > 0) & (sizes < BOUND)).any()


PROGRAM = """
import sys, threading
sys.path.append(sys.argv[1])
import numpy as np
from frames.denormals import flush_denormals
from frames.scheduler import FrameQueue, Job
from frames.workers import FrameWorkers

products = {}

def multiply(name):
    products[name] = np.float32(1e-20) * np.float32(1e-20)

def flush():
    assert flush_denormals()
    multiply("flushing")

class Work:
    deadline, checked, started = None, 0.0, None
    def compute(self, worker, first, count):
        multiply("frames")
    def is_cancelled(self):
        return False
    def finish(self):
        pass
    def fail(self, error):
        raise error
    def release(self):
        pass

for target in (flush, lambda: multiply("plain")):
    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
workers = FrameWorkers(FrameQueue(8), 1, 1)
assert workers.submit(Job("tenant", 1, Work()))
workers.stop()
print({name for name, product in products.items() if product == 0}, len(products))
"""


def test_threads_of_frames_take_denormals_for_zero_and_others_do_not() -> None:
    """In a process of its own: a thread has what the one that started it has."""
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(FOLDER)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout in ("{'flushing', 'frames'} 3\n", "{'frames', 'flushing'} 3\n")


def test_a_thread_that_takes_denormals_for_zero_still_finds_them() -> None:
    counts: list[TinyWeights] = []
    model = initialiser(tensor())

    def count() -> None:
        assert flush_denormals()
        counts.append(flush_tiny_weights(model))

    thread = threading.Thread(target=count)
    thread.start()
    thread.join()
    assert counts == [COUNTED]
