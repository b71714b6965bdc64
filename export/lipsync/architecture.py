"""The documented lip-sync network (`unet_328`, audio branch `ave`) as a torch module.

Written from the documented shapes alone. No trained weights of it are public: operators bring
their own ONNX files, and tests and demo use this one with random weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (32, 64, 128, 256, 512)
"""Channels of the encoder's levels at full width."""
AUDIO_CHANNELS = 32
FRAME_CHANNELS = 6
EXPANSION = 2
"""Of the channels inside a bottleneck."""


def scaled_widths(factor: float) -> tuple[int, ...]:
    """Channels of the levels at `factor` times the width, in multiples of 4, at least 4."""
    return tuple(max(4, round(width * factor / 4) * 4) for width in WIDTHS)


class Convolution(nn.Module):  # type: ignore[misc]  # torch's types are not followed
    """Convolution, normalisation unless it is folded in, and ReLU unless it is linear."""

    def __init__(
        self,
        channels: tuple[int, int],
        kernel: int = 1,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        linear: bool = False,
        folded: bool,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(*channels, kernel, stride, padding, groups=groups, bias=folded)
        self.norm = None if folded else nn.BatchNorm2d(channels[1])
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """[n, in, h, w] to [n, out, h / stride, w / stride]."""
        x = self.conv(x)
        x = x if self.norm is None else self.norm(x)
        return x if self.linear else functional.relu(x)


class Bottleneck(nn.Module):  # type: ignore[misc]
    """Expansion 1x1, depthwise 3x3, linear projection 1x1; around it the identity where it fits.

    This is the inverted residual of MobileNetV2 (arXiv:1801.04381) with an expansion of two.
    """

    def __init__(
        self, channels: tuple[int, int], *, stride: int = 1, residual: bool, folded: bool
    ) -> None:
        super().__init__()
        inner = EXPANSION * channels[0]
        self.expand = Convolution((channels[0], inner), folded=folded)
        self.depthwise = Convolution(
            (inner, inner), 3, stride=stride, padding=1, groups=inner, folded=folded
        )
        self.project = Convolution((inner, channels[1]), linear=True, folded=folded)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """[n, in, h, w] to [n, out, h / stride, w / stride]."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


def _stage(channels: tuple[int, int], stride: int, folded: bool) -> nn.Sequential:
    """Return a bottleneck that changes the shape, and a residual one."""
    return nn.Sequential(
        Bottleneck(channels, stride=stride, residual=False, folded=folded),
        Bottleneck((channels[1], channels[1]), residual=True, folded=folded),
    )


class LipNetwork(nn.Module):  # type: ignore[misc]
    """Frames [n, 6, 320, 320] and audio [n, 32, 16, 16] to mouths [n, 3, 320, 320], 0 to 1."""

    def __init__(self, width: float = 1.0, *, folded: bool = True, padded: bool = False) -> None:
        """Build the network.

        Args:
            width: Factor on all inner widths; 1 is the documented network.
            folded: Without batch normalisation, each convolution with a bias.
            padded: Pads every up-sampled map to its partner's size when it runs, as the published
                code does; by nothing at this size, but the ONNX graph is full of it.
        """
        super().__init__()
        w = scaled_widths(width)
        self.padded = padded
        self.audio = nn.Sequential(
            Bottleneck((AUDIO_CHANNELS, w[1]), residual=False, folded=folded),
            Bottleneck((w[1], w[2]), residual=False, folded=folded),
            Convolution((w[2], w[3]), 3, padding=1, folded=folded),
            Bottleneck((w[3], w[3]), residual=True, folded=folded),
            # 16x16 to 10x10, the size of the deepest level.
            Convolution((w[3], w[4]), 3, stride=2, padding=3, folded=folded),
            Bottleneck((w[4], w[4]), residual=True, folded=folded),
            Bottleneck((w[4], w[4]), residual=True, folded=folded),
        )
        self.stem = Bottleneck((FRAME_CHANNELS, w[0]), residual=False, folded=folded)
        levels = (w[0], *w)
        self.down = nn.ModuleList(
            _stage((levels[level], levels[level + 1]), 2, folded) for level in range(len(w))
        )
        self.fuse = nn.Sequential(
            _stage((2 * w[4], w[4]), 1, folded), _stage((w[4], w[3]), 1, folded)
        )
        last = w[0] // 2
        rising = (w[3], w[2], w[1], w[0], w[0], last)
        self.up = nn.ModuleList(
            _stage((2 * rising[level], rising[level + 1]), 1, folded) for level in range(len(w))
        )
        self.head = nn.Conv2d(last, 3, 1)

    def forward(self, frames: Tensor, audio: Tensor) -> Tensor:
        """Return the mouths."""
        maps = [self.stem(frames)]
        for down in self.down:
            maps.append(down(maps[-1]))
        x = self.fuse(torch.cat([maps.pop(), self.audio(audio)], 1))
        for up in self.up:
            partner = maps.pop()
            x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            if self.padded:
                rows, columns = (partner.size(axis) - x.size(axis) for axis in (2, 3))
                left, top = columns // 2, rows // 2
                x = functional.pad(x, [left, columns - left, top, rows - top])
            x = up(torch.cat([x, partner], 1))
        return torch.sigmoid(self.head(x))


def residual_projections(network: LipNetwork) -> set[str]:
    """Names of the weights whose output is added to an identity."""
    return {
        f"{name}.project.conv.weight"
        for name, module in network.named_modules()
        if isinstance(module, Bottleneck) and module.residual
    }
