"""The network is the documented one: its size, its ways to be written, its determinism."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from export.lipsync.architecture import LipNetwork, scaled_widths
from export.lipsync.demo import to_onnx, write_tenants
from tests.support.lipsync_tenants import (
    NARROW,
    PARAMETERS_FOLDED,
    PARAMETERS_UNFOLDED,
    Plain,
    audio,
    frames,
    parameter_count,
)


def test_the_documented_numbers_of_parameters() -> None:
    assert parameter_count(LipNetwork(folded=False)) == PARAMETERS_UNFOLDED
    assert parameter_count(LipNetwork(folded=True)) == PARAMETERS_FOLDED


def test_widths_are_multiples_of_four() -> None:
    assert scaled_widths(1) == (32, 64, 128, 256, 512)
    assert scaled_widths(0.125) == (4, 8, 16, 32, 64)
    assert scaled_widths(0.001) == (4, 4, 4, 4, 4)


def test_torch_and_onnx_runtime_agree() -> None:
    network = LipNetwork(NARROW).eval()
    given, sound = frames(2), audio(2)
    with torch.no_grad():
        expected = network(torch.from_numpy(given), torch.from_numpy(sound)).numpy()
    assert expected.shape == (2, 3, 320, 320)
    session = onnxruntime.InferenceSession(to_onnx(network))
    (got,) = session.run(["output"], {"input": given, "audio": sound})
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_padding_when_it_runs_changes_the_graph_and_not_the_answer() -> None:
    torch.manual_seed(0)
    plain = LipNetwork(NARROW).eval()
    padded = LipNetwork(NARROW, padded=True).eval()
    padded.load_state_dict(plain.state_dict())
    graphs = [onnx.load_model_from_string(to_onnx(one)).graph for one in (plain, padded)]
    pads = [sum(node.op_type == "Pad" for node in graph.node) for graph in graphs]
    assert pads == [0, 5]
    with torch.no_grad():
        given, sound = torch.from_numpy(frames(1)), torch.from_numpy(audio())
        torch.testing.assert_close(plain(given, sound), padded(given, sound), rtol=0, atol=0)


@pytest.mark.parametrize("static", [False, True])
def test_tenants_are_seeded_and_differ(static: bool, tmp_path: Path) -> None:
    told: list[str] = []
    files = write_tenants(
        tmp_path / "a", 2, width=NARROW, seed=5, static_batch=static, written=told.append
    )
    again = write_tenants(tmp_path / "b", 1, width=NARROW, seed=6, static_batch=static)
    assert told == ["tenant_0001.onnx", "tenant_0002.onnx"]
    assert files[1].read_bytes() == again[0].read_bytes()
    answers = [Plain(file)(frames(1), audio()) for file in files]
    assert np.abs(answers[0] - answers[1]).max() > 0.1
    for answer in answers:
        assert np.isfinite(answer).all()
        assert answer.std() > 0.01
    batch = onnx.load(str(files[0])).graph.input[0].type.tensor_type.shape.dim[0]
    assert (batch.dim_value == 1) == static


def test_the_file_of_full_width_has_the_documented_size() -> None:
    sink = io.BytesIO(to_onnx(LipNetwork().eval()))
    assert sink.getbuffer().nbytes == pytest.approx(4 * PARAMETERS_FOLDED, rel=0.002)
