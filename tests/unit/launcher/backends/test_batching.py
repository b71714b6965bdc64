from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from launcher.backends.pentad_backend.batching import Runner
from launcher.backends.pentad_backend.tensors import RequestError, TensorInfo


class Doubler:
    """An engine that doubles X, repeats text, and counts its runs."""

    def __init__(self, data_type: str = "TYPE_FP32", shape: tuple[int, ...] = (-1, 2)) -> None:
        info = TensorInfo(data_type, shape)
        self.inputs = {"X": info}
        self.overridable: dict[str, TensorInfo] = {}
        self.outputs = {"Y": info, "Z": info}
        self.runs: list[tuple[Any, list[str]]] = []
        self.broken = False

    def run(self, feeds: dict[str, Any], outputs: Sequence[str]) -> Sequence[Any]:
        self.runs.append((feeds["X"], list(outputs)))
        if self.broken:
            raise RuntimeError("engine failed")
        return [feeds["X"] + feeds["X"] for _ in outputs]


def config(max_batch_size: int, dims: list[int] | None = None) -> dict[str, Any]:
    outputs = [{"name": name, "dims": dims or [2]} for name in ("Y", "Z")]
    return {"max_batch_size": max_batch_size, "input": [{"name": "X"}], "output": outputs}


def rows(*values: float) -> np.ndarray[Any, Any]:
    return np.array([[value, value] for value in values], dtype=np.float32)


def test_one_forward_for_all_requests_of_a_batch() -> None:
    engine = Doubler()
    answers = Runner(engine, config(8)).run(
        [{"X": rows(1)}, {"X": rows(2, 3)}, {"X": rows(4)}], [["Y"], ["Z"], ["Y", "Z"]]
    )
    assert len(engine.runs) == 1
    assert engine.runs[0][1] == ["Y", "Z"]
    assert [sorted(answer) for answer in answers] == [["Y"], ["Z"], ["Y", "Z"]]  # type: ignore[type-var]
    np.testing.assert_array_equal(answers[1]["Z"], rows(4, 6))  # type: ignore[index]
    np.testing.assert_array_equal(answers[2]["Z"], rows(8))  # type: ignore[index]


def test_a_single_request_is_not_copied() -> None:
    engine = Doubler()
    data = rows(1)
    Runner(engine, config(8)).run([{"X": data}], [["Y"]])
    assert engine.runs[0][0] is data
    assert engine.runs[0][1] == ["Y"]


def test_unbatched_models_run_request_by_request() -> None:
    engine = Doubler()
    answers = Runner(engine, config(0)).run([{"X": rows(1)}, {"X": rows(2)}], [["Y"], ["Y"]])
    assert len(engine.runs) == 2
    np.testing.assert_array_equal(answers[1]["Y"], rows(4))  # type: ignore[index]


def test_a_failing_engine_fails_every_request_of_the_batch() -> None:
    engine = Doubler()
    engine.broken = True
    answers = Runner(engine, config(8)).run([{"X": rows(1)}] * 2, [["Y"]] * 2)
    assert [str(answer) for answer in answers] == ["engine failed"] * 2


def test_an_output_without_the_batch_is_an_error() -> None:
    engine = Doubler()
    engine.run = lambda feeds, outputs: [np.zeros((1, 2))]  # type: ignore[method-assign]
    answers = Runner(engine, config(8)).run([{"X": rows(1)}] * 2, [["Y"]] * 2)
    assert "failed to split the output tensor 'Y'" in str(answers[0])


def test_text_is_decoded_and_encoded() -> None:
    engine = Doubler("TYPE_STRING")
    data = np.array([["hé".encode(), b"\xf0\x9f\x98\x80"]], dtype=object)
    [answer] = Runner(engine, config(8)).run([{"X": data}], [["Y"]])
    assert engine.runs[0][0].tolist() == [["hé", "😀"]]
    assert answer["Y"].tolist() == [["héhé".encode(), "😀😀".encode()]]  # type: ignore[index]


def test_only_the_request_with_bad_text_fails() -> None:
    engine = Doubler("TYPE_STRING")
    good = np.array([[b"a", b"b"]], dtype=object)
    bad = np.array([[b"\xff", b"b"]], dtype=object)
    answers = Runner(engine, config(8)).run([{"X": bad}, {"X": good}], [["Y"], ["Y"]])
    assert isinstance(answers[0], RequestError)
    assert answers[1]["Y"].tolist() == [[b"aa", b"bb"]]  # type: ignore[index]


def test_scalars_take_the_configured_shape() -> None:
    engine = Doubler(shape=())
    [answer] = Runner(engine, config(0, [1])).run([{"X": np.array([3.0])}], [["Y"]])
    assert engine.runs[0][0].shape == ()
    assert answer["Y"].tolist() == [6.0]  # type: ignore[index]


@pytest.mark.parametrize("count", [0, 3])
def test_every_request_gets_an_answer(count: int) -> None:
    assert len(Runner(Doubler(), config(8)).run([{"X": rows(1)}] * count, [["Y"]] * count)) == count
