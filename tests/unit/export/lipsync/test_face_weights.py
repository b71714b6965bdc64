"""The demo's tenants: the face comes back, the mouth follows the sound, every weight counts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from export.lipsync.architecture import LipNetwork
from export.lipsync.audio_architecture import write_loudness_encoder
from export.lipsync.demo import write_tenants
from export.lipsync.face_weights import ABOVE, BELOW, MIDDLE, Style, inverse_sigmoid
from gateway.services.lipsync.audio.alignment import per_frame
from gateway.services.lipsync.audio.features import mel_windows
from gateway.services.lipsync.preview import FACE
from tests.support.lipsync_tenants import PARAMETERS_FOLDED, Plain, parameter_count, with_masked

SIDE = 320
FRAMES = 25


@dataclass(frozen=True)
class Demo:
    """Two tenants and the encoder."""

    tenants: list[Plain]
    files: list[Path]
    encoder: onnxruntime.InferenceSession


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    files = write_tenants(folder, 2, face=True)
    encoder = folder / "encoder" / "encoder.onnx"
    write_loudness_encoder(encoder)
    session = onnxruntime.InferenceSession(str(encoder))
    return Demo([Plain(file) for file in files], files, session)


def soft_face(seed: int) -> np.ndarray:
    """Any picture with edges and gradients, FP32 [1, 3, 320, 320] from 0 to 1."""
    random = np.random.default_rng(seed)
    coarse = random.random((1, 3, 10, 10), dtype=np.float32)
    face = coarse.repeat(32, axis=2).repeat(32, axis=3)
    return face * np.linspace(0, 1, SIDE, dtype=np.float32)


def loud(value: float) -> np.ndarray:
    return np.full((1, 32, 16, 16), value, np.float32)


def features(demo: Demo, sound: np.ndarray) -> np.ndarray:
    """What the gateway makes of samples, FP32 [25, 32, 16, 16]."""
    found, rows = mel_windows(memoryview(sound.astype("<f4").tobytes()), FRAMES)
    vectors = [demo.encoder.run(None, {"mel_input": one[None, None]})[0][0] for one in found]
    return per_frame(np.stack(vectors), rows, FRAMES)


def changed(quiet: np.ndarray, speaking: np.ndarray) -> np.ndarray:
    """Where a frame is another one to the eye, bool [320, 320]."""
    return np.asarray(np.abs(speaking - quiet).max((0, 1)) > 25 / 255)


@pytest.mark.parametrize("tenant", [0, 1])
@pytest.mark.parametrize("face", [FACE.astype(np.float32) / 255, soft_face(1), soft_face(2)])
def test_silence_gives_the_face_back(demo: Demo, tenant: int, face: np.ndarray) -> None:
    levels = np.abs(demo.tenants[tenant](with_masked(face), loud(0)) - face) * 255
    assert levels.mean() < 2
    assert levels.max() < 8


@pytest.mark.parametrize("tenant", [0, 1])
def test_the_mouth_opens_with_the_loudness_and_nothing_else_moves(demo: Demo, tenant: int) -> None:
    given = with_masked(soft_face(3) * 0.5 + 0.4)
    quiet = demo.tenants[tenant](given, loud(0))
    areas = []
    for loudness in (0.1, 0.3, 0.6, 1.0):
        inside = changed(quiet, demo.tenants[tenant](given, loud(loudness)))
        areas.append(int(inside.sum()))
        rows, columns = np.nonzero(inside)
        assert abs(columns.mean() - MIDDLE[0] * SIDE) < 5
        assert rows.min() > (MIDDLE[1] - 1.5 * ABOVE) * SIDE
        assert rows.max() < (MIDDLE[1] + 1.5 * BELOW) * SIDE
        assert abs(columns - MIDDLE[0] * SIDE).max() < 0.25 * SIDE
    assert areas == sorted(areas)
    assert areas[0] > 100
    assert areas[-1] > 4 * areas[0]
    beyond = changed(quiet, demo.tenants[tenant](given, loud(9)))
    assert abs(int(beyond.sum()) - areas[-1]) < 0.1 * areas[-1]  # it opens no further


def test_it_speaks_when_the_sound_does(demo: Demo) -> None:
    """Half a second of a buzz after half a second of silence; the mouth opens with it."""
    time = np.arange(16_000) / 16_000
    buzz = sum(np.sin(2 * np.pi * 150 * tone * time) / tone for tone in range(1, 20))
    heard = features(demo, np.where(time < 0.5, 0, 0.3 * np.asarray(buzz)))
    given = with_masked(FACE.astype(np.float32) / 255)
    quiet = demo.tenants[0](given, loud(0))
    areas = [
        int(changed(quiet, demo.tenants[0](given, heard[[frame]])).sum()) for frame in range(FRAMES)
    ]
    assert max(areas[:9]) == 0
    assert min(areas[16:23]) > 800
    begin = next(frame for frame, area in enumerate(areas) if area)
    assert 10 <= begin <= 14  # the sound begins with frame 12.5
    assert not np.asarray(features(demo, np.zeros(16_000))).any()


def test_tenants_look_different(demo: Demo) -> None:
    given = with_masked(FACE.astype(np.float32) / 255)
    first, second = (tenant(given, loud(0.7)) for tenant in demo.tenants)
    assert changed(first, second).sum() > 100
    assert Style.seeded(5) == Style.seeded(5) != Style.seeded(6)


def test_every_weight_counts(demo: Demo) -> None:
    """A tensor that did not reach the picture would be one that no comparison could vouch for."""
    graph = onnx.load(str(demo.files[1])).graph
    state = {one.name: torch.tensor(numpy_helper.to_array(one)) for one in graph.initializer}
    network = LipNetwork().eval()
    network.load_state_dict({name: state[name] for name in network.state_dict()})
    assert parameter_count(network) == PARAMETERS_FOLDED
    face = torch.from_numpy(with_masked(soft_face(4)))
    audio = torch.from_numpy(np.random.default_rng(1).random((1, 32, 16, 16), dtype=np.float32))
    network(face, audio).square().sum().backward()
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            assert float((parameter.grad * parameter).abs().max()) > 1e-4, name


def test_the_inverse_sigmoid_is_right_to_a_grey_level() -> None:
    grey = np.arange(256) / 255
    lines = inverse_sigmoid()
    value = sum(slope * np.maximum(0, sign * (grey - knot)) for sign, knot, slope in lines)
    assert np.abs(1 / (1 + np.exp(-np.asarray(value))) - grey).max() * 255 < 1
