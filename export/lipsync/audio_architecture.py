"""A random audio encoder of the documented shape, for the demo and for tests."""

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


class RandomAudioEncoder(nn.Module):  # type: ignore[misc]  # torch's types are not followed
    """Mel windows [n, 1, 80, 16] to audio features [n, 512]; its weights are random."""

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
    torch.manual_seed(seed)
    encoder = RandomAudioEncoder().eval()
    with torch.no_grad():
        for layer in encoder.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.normal_(layer.bias, 0, 0.05)
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
