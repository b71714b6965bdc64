"""How models call their networks on a CPU and on a GPU."""

from __future__ import annotations

import json
import re
from pathlib import Path

import engine_values
import pytest
from engine_values import (
    CROPS,
    EMBEDDINGS,
    PAIRS,
    PICTURES,
    TOKEN_STATES,
    Calls,
    Defaults,
    NetworkEngine,
    calls,
    most_calls,
    network_engine,
    picture_step,
)

from gateway.capacity import facts
from gateway.model_config import parameters, read_config
from gateway.triton.tensorrt_plans.declared import declared

REPOSITORY = Path(__file__).resolve().parents[3] / "model_repository"
GPU = NetworkEngine(on_gpu=True, instances=2, most_rows=128)
CALLERS = {
    "text_embedding": (EMBEDDINGS, "sentence_encoder", Calls(16, 512, 2), Calls(64, 16_384, 4)),
    "reranking": (PAIRS, "cross_encoder", Calls(16, 512, 2), Calls(64, 16_384, 4)),
    "bertscore": (TOKEN_STATES, "token_encoder", Calls(8, 512, 2), Calls(64, 8_192, 4)),
    "image_classification": (PICTURES, "image_classifier", Calls(4, 0, 2), Calls(32, 0, 4)),
    "face_enrollment": (CROPS, "face_embedder", Calls(3, 0, 2), Calls(64, 0, 4)),
}


@pytest.mark.parametrize("caller", CALLERS)
def test_each_engine_has_its_values(caller: str) -> None:
    kind, _, on_cpu, on_gpu = CALLERS[caller]
    assert calls(kind, NetworkEngine()) == on_cpu
    assert calls(kind, GPU) == on_gpu
    assert calls(kind, NetworkEngine(on_gpu=True, instances=3)).in_flight == 6


@pytest.mark.parametrize("caller", CALLERS)
def test_the_configurations_leave_it_to_the_engine(caller: str) -> None:
    given = parameters(read_config(REPOSITORY / caller / "config.pbtxt"))
    names = ("chunk_rows", "chunk_tokens", "chunks_in_flight", "batch_rows", "batches_in_flight")
    assert {given[name] for name in names if name in given} == {"0"}
    own = REPOSITORY / caller / "1" / "engine_values.py"
    assert own.resolve() == Path(engine_values.__file__).resolve()


@pytest.mark.parametrize("caller", CALLERS)
def test_no_call_is_larger_than_a_plan_or_the_graph_takes(caller: str) -> None:
    kind, network, on_cpu, _ = CALLERS[caller]
    plan = declared(REPOSITORY, network)
    assert plan is not None
    rows = min(one.largest[0] for one in plan.inputs.values())
    onnx = int(read_config(REPOSITORY / network / "config.pbtxt")["max_batch_size"])
    assert on_cpu.rows <= most_calls(kind, NetworkEngine()).rows <= min(rows, onnx)
    on_gpu = calls(kind, NetworkEngine(on_gpu=True, most_rows=min(rows, onnx)))
    assert on_gpu.rows <= min(rows, onnx)


@pytest.mark.parametrize("engine", [NetworkEngine(), GPU])
def test_a_number_in_the_configuration_wins(engine: NetworkEngine) -> None:
    found = calls(EMBEDDINGS, engine, rows="16", tokens="1024", in_flight="1")
    assert found == Calls(16, 1024, 1)
    assert calls(EMBEDDINGS, engine, rows="16").rows == 16
    assert calls(PICTURES, NetworkEngine(True, 2, 8), rows="16").rows == 16  # and is answered for
    with pytest.raises(ValueError, match="many"):
        calls(EMBEDDINGS, engine, rows="many")


def test_what_the_gateway_tells_is_read() -> None:
    told = {"encoder": {"device": "cuda:1", "instances": 4, "most_rows": 32}}
    given = {"networks": json.dumps(told)}
    assert network_engine(given, "encoder") == NetworkEngine(True, 4, 32)
    assert network_engine(given, "another") == NetworkEngine()
    assert network_engine({}, "encoder") == NetworkEngine()
    assert calls(TOKEN_STATES, network_engine(given, "encoder")) == Calls(32, 8_192, 8)
    unknown = {"encoder": {"device": "cuda", "instances": 2, "most_rows": 0}}
    assert network_engine({"networks": json.dumps(unknown)}, "encoder").most_rows is None
    on_cpu = {"encoder": {"device": "cpu", "instances": 3, "most_rows": 0}}
    found = network_engine({"networks": json.dumps(on_cpu)}, "encoder")
    assert calls(Defaults("some", 8, 64, 8), found).in_flight == 3


def test_pictures_have_few_sizes_on_a_gpu_only() -> None:
    assert picture_step(GPU) == 160
    assert picture_step(NetworkEngine()) == 1


def test_the_plan_of_a_machine_counts_the_largest_calls() -> None:
    most = {
        caller: tuple(most_calls(kind, engine) for engine in (NetworkEngine(), GPU))
        for caller, (kind, *_) in CALLERS.items()
    }
    told = {name: tuple((one.rows, one.tokens) for one in found) for name, found in most.items()}
    assert told == facts.CALLS


def test_bertscores_chunks_fit_its_shared_memory() -> None:
    given = parameters(read_config(REPOSITORY / "bertscore" / "config.pbtxt"))
    for most in (most_calls(TOKEN_STATES, GPU), most_calls(TOKEN_STATES, NetworkEngine())):
        states = most.in_flight * most.tokens * 384 * 4
        assert int(given["shm_mib"]) * 2**20 >= 2 * states


@pytest.mark.parametrize("caller", CALLERS)
def test_the_page_tells_them(caller: str) -> None:
    page = (REPOSITORY.parent / "docs" / "operations" / "gpu.md").read_text()
    (row,) = re.findall(rf"^\| {caller} \| (\d.*) \| (.*) \|$", page, re.M)
    for told, own in zip(row, CALLERS[caller][2:], strict=True):
        numbers = [int(one.replace(",", "")) for one in re.findall(r"[\d,]*\d", told)]
        assert numbers[: 1 + bool(own.tokens)] == [n for n in (own.rows, own.tokens) if n]
