"""Parts of ReDimNet: two-dimensional blocks on maps, the one-dimensional part on signals, the pooling.

Maps are ``(B, C, F, T)``, signals ``(B, R, T)``. Written from a description of the authors' implementation
(github.com/IDRnD/ReDimNet, MIT), whose outputs it gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class StageSize:
    """Sizes of one stage."""

    # What the stage divides the bins by and multiplies the channels by.
    stride: int
    # Two-dimensional blocks.
    blocks: int
    # Channels of these blocks as a multiple of those that the stage gives.
    expansion: int
    # Channels of the one-dimensional part, a multiple of four; 0: the stage has none.
    inner: int


@dataclass(frozen=True)
class RedimnetSize:
    """Sizes of the whole network."""

    # Bins F of the input, a multiple of the product of all strides.
    bins: int
    # Channels C of the stem; C · F stays the same through all stages.
    channels: int
    # Kind of the two-dimensional blocks: ConvNeXt's, ResNet's, or ResNet's with a gate for each bin.
    block: Literal["convnext", "resnet", "resnet_gated"]
    # Channels in a group of the 3×3 convolutions; 1: each channel by itself.
    group_width: int
    # The stages, first to last.
    stages: tuple[StageSize, ...]
    # Channels of the attention inside the pooling.
    attention_channels: int = 128

    @property
    def rows(self) -> int:
        """Rows C · F of a signal."""
        return self.bins * self.channels


def _stages(*sizes: tuple[int, int, int, int]) -> tuple[StageSize, ...]:
    return tuple(StageSize(*size) for size in sizes)


_B4_STAGES = _stages(
    (1, 4, 2, 48), (2, 4, 2, 48), (1, 6, 2, 48), (2, 6, 1, 72), (1, 8, 1, 96), (2, 4, 1, 144)
)  # fmt: skip

SIZES = {
    "b0": RedimnetSize(
        60, 10, "resnet", 1,
        _stages((1, 2, 1, 20), (2, 3, 2, 20), (1, 3, 3, 20), (2, 4, 2, 60), (1, 3, 1, 60)),
    ),
    "b1": RedimnetSize(
        72, 12, "convnext", 8,
        _stages((1, 2, 1, 0), (2, 3, 1, 0), (3, 4, 1, 72), (2, 5, 1, 72), (2, 3, 1, 108)),
    ),
    "b2": RedimnetSize(
        72, 16, "convnext", 4,
        _stages((1, 2, 1, 96), (2, 2, 1, 96), (1, 3, 1, 96), (3, 4, 1, 144), (1, 4, 1, 144), (2, 4, 1, 288)),
    ),
    "b3": RedimnetSize(
        72, 16, "resnet_gated", 1,
        _stages((1, 6, 4, 36), (2, 6, 2, 36), (1, 8, 2, 36), (2, 10, 2, 72), (1, 10, 1, 72), (2, 8, 1, 72)),
    ),
    "b4": RedimnetSize(72, 32, "resnet_gated", 1, _B4_STAGES),
    "b5": RedimnetSize(72, 32, "resnet_gated", 16, _B4_STAGES),
    "b6": RedimnetSize(
        72, 32, "resnet", 32,
        _stages((1, 4, 4, 72), (2, 6, 2, 72), (1, 6, 2, 96), (3, 8, 1, 96), (1, 8, 1, 144), (2, 8, 1, 144)),
    ),
}  # fmt: skip


# Kernels in frames of the one-dimensional part, first block to last.
TIME_KERNELS = (7, 19, 31, 59)
HEADS = 4
# In the norms over channels, and in the batch norm behind an expansion.
EPSILON = 1e-6
# Of a variance before its root: added in the context of the pooling, the least value in its result.
VARIANCE_FLOOR = 1e-7


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels, the second axis."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, …)`` → ``(B, C, …)``."""
        return super().forward(x.transpose(1, -1)).transpose(1, -1)


def map_conv(width: int, out: int, groups: int, bias: bool = True) -> nn.Conv2d:
    """3×3 convolution that keeps bins and frames."""
    return nn.Conv2d(width, out, 3, padding=1, groups=groups, bias=bias)


class ConvNextBlock(nn.Module):
    """3×3 convolution in groups, batch norm, GELU, 1×1 convolution; a residual around them."""

    def __init__(self, width: int, group_width: int) -> None:
        super().__init__()
        self.conv = map_conv(width, width, max(1, width // group_width))
        self.norm = nn.BatchNorm2d(width)
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, F, T)`` → ``(B, C, F, T)``."""
        return x + self.mix(F.gelu(self.norm(self.conv(x))))


class BinGate(nn.Module):
    """Bins scaled by a gate that sees their means over channels and frames."""

    def __init__(self, bins: int, width: int) -> None:
        super().__init__()
        inner = min(64, max(width, 32))
        self.squeeze = nn.Linear(bins, inner)
        self.excite = nn.Linear(inner, bins)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, F, T)`` → ``(B, C, F, T)``."""
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean(dim=(1, 3))))))  # (B, F)
        return x * gate[:, None, :, None]


class ResnetBlock(nn.Module):
    """Two 3×3 convolutions in groups, each mixed by a 1×1 convolution; a residual around them."""

    def __init__(self, width: int, group_width: int, gated_bins: int = 0) -> None:
        super().__init__()
        groups = max(1, width // group_width)
        self.conv1 = map_conv(width, width, groups, bias=False)
        self.mix1 = nn.Conv2d(width, width, 1)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = map_conv(width, width, groups, bias=False)
        self.mix2 = nn.Conv2d(width, width, 1)
        self.norm2 = nn.BatchNorm2d(width)
        self.gate = BinGate(gated_bins, width) if gated_bins else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, F, T)`` → ``(B, C, F, T)``."""
        # Activation before the norm, as the authors have it.
        y = self.norm1(F.relu(self.mix1(self.conv1(x))))
        y = self.gate(self.norm2(self.mix2(self.conv2(y))))
        return F.relu(x + y)


class TimeBlock(nn.Module):
    """Convolution over time of each channel by itself, batch norm, GELU, 1×1 convolution, and a residual."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.BatchNorm1d(channels)
        self.mix = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T)`` → ``(B, C, T)``."""
        return x + self.mix(F.gelu(self.norm(self.conv(x))))


class TransformerLayer(nn.Module):
    """Self-attention over the frames and two linear maps, the norms after the residuals."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.norm1 = nn.LayerNorm(channels, eps=EPSILON)
        self.linear1 = nn.Linear(channels, channels)
        self.linear2 = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, C)`` → ``(B, T, C)``."""
        query, key, value = (
            layer(x).unflatten(2, (HEADS, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        heads = F.scaled_dot_product_attention(query, key, value)  # (B, heads, T, C / heads)
        x = self.norm1(x + self.out(heads.transpose(1, 2).flatten(2)))
        return self.norm2(x + self.linear2(F.gelu(self.linear1(x), approximate="tanh")))


class SignalBlock(nn.Module):
    """The one-dimensional part: all rows reduced to few channels, which are mixed over time."""

    def __init__(self, rows: int, inner: int) -> None:
        super().__init__()
        self.reduce = nn.Conv1d(rows, inner, 1)
        self.norm = ChannelNorm(inner)
        self.time = nn.Sequential(*(TimeBlock(inner, kernel) for kernel in TIME_KERNELS))
        self.transformer = TransformerLayer(inner)
        self.expand = nn.Conv1d(inner, rows, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, R, T)`` → ``(B, R, T)``."""
        y = self.time(self.norm(self.reduce(x)))
        y = self.transformer(y.transpose(1, 2)).transpose(1, 2)
        return x + self.expand(y)


class AttentivePooling(nn.Module):
    """Attentive statistics with global context."""

    def __init__(self, rows: int, channels: int) -> None:
        super().__init__()
        self.linear1 = nn.Conv1d(3 * rows, channels, 1)
        self.linear2 = nn.Conv1d(channels, rows, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, R, T)`` → mean and deviation ``(B, 2R)``; at least two frames."""
        centre = x.mean(dim=2, keepdim=True)
        # Unbiased; written out because torch.var is slow where the frames are not innermost.
        variance = (x - centre).square().sum(dim=2, keepdim=True) / (x.shape[2] - 1)
        spread = (variance + VARIANCE_FLOOR).sqrt()
        context = torch.cat([x, centre.expand_as(x), spread.expand_as(x)], dim=1)
        weights = torch.softmax(self.linear2(torch.tanh(self.linear1(context))), dim=2)
        mean = (x * weights).sum(dim=2)
        variance = (x.square() * weights).sum(dim=2) - mean.square()
        return torch.cat([mean, variance.clamp(min=VARIANCE_FLOOR).sqrt()], dim=1)
