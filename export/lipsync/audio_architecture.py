"""Audio encoders without training: a random one for tests, one of loudness for the demo."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from export.lipsync.audio_encoder_graph import FEATURES, MEL_SHAPE

_STAGES = (
    # Channels, and by how much bands and columns shrink: 80x16 becomes 1x1.
    (32, (1, 1)),
    (64, (3, 1)),
    (128, (3, 3)),
    (256, (3, 2)),
    (FEATURES, (3, 3)),
)

_SILENT, _LOUD = 1.0, 3.2
"""Mel values from silence at 0 to 8 (100 dB): where a mouth is shut, and where wide open."""
_OTHERS = 0.01
"""Share of the random channels in the features."""


class AudioEncoder(nn.Module):  # type: ignore[misc]  # torch's types are not followed
    """Mel windows [n, 1, 80, 16] to audio features [n, 512]."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = MEL_SHAPE[0]
        for out, stride in _STAGES:
            layers += [nn.Conv2d(channels, out, 3, stride, 1), nn.ReLU()]
            channels = out
        self.layers = nn.Sequential(*layers)

    def forward(self, mel: Tensor) -> Tensor:
        """Return the features."""
        return self.layers(mel).mean((2, 3))


def write_random_encoder(file: Path, seed: int = 0) -> None:
    """Write an encoder as operators' files are: `mel_input` [1, 1, 80, 16], batch of one."""
    _write(_random(seed), file)


def write_loudness_encoder(file: Path) -> None:
    """Write an encoder whose features are the loudness, from 0 to about 1, and a little of others.

    Loudness is the mean of a window's middle 75 ms over the 40 lowest mel bands (to 2 kHz, where
    voices are loudest), in decibels; below `_SILENT` it is 0. All 512 features have it, so that it
    does not matter which of them a network reads.
    """
    encoder = _random(0)
    first, bands, both, middle, last = (
        layer for layer in encoder.layers if isinstance(layer, nn.Conv2d)
    )
    with torch.no_grad():
        # Mel values are from -4 to 4; as what zeros are around them, silence has to be 0.
        _lane(first, {(1, 1): 1}, bias=4)
        _lane(bands, {(row, 1): 1 / 3 for row in range(3)})
        _lane(both, {(row, column): 1 / 9 for row in range(3) for column in range(3)})
        # Of six thirds of the window the two in the middle, then the place that has them.
        _lane(middle, {(row, column): 1 / 6 for row in range(3) for column in (1, 2)})
        last.weight *= _OTHERS
        last.weight[:, 0] = 0
        last.weight[:, 0, 1:, 2] = 1 / (2 * (_LOUD - _SILENT))
        last.bias.fill_(-_SILENT / (_LOUD - _SILENT))
    _write(encoder, file)


def _lane(layer: nn.Conv2d, taps: dict[tuple[int, int], float], bias: float = 0) -> None:
    """Make channel 0 of a layer a filter of channel 0 of the layer before."""
    layer.weight[0] = 0
    for (row, column), factor in taps.items():
        layer.weight[0, 0, row, column] = factor
    layer.bias[0] = bias


def _random(seed: int) -> AudioEncoder:
    torch.manual_seed(seed)
    encoder = AudioEncoder()
    encoder.eval()
    with torch.no_grad():
        for layer in encoder.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.normal_(layer.bias, 0, 0.05)
    return encoder


def _write(encoder: AudioEncoder, file: Path) -> None:
    sink = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            encoder,
            (torch.rand(1, *MEL_SHAPE),),
            sink,
            dynamo=False,
            opset_version=13,
            input_names=["mel_input"],
            output_names=["audio_features"],
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(sink.getvalue())
