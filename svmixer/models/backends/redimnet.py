"""ReDimNet (Yakovlev et al., Interspeech 2024) on the weighted sum of the student's hidden states.

:class:`RedimnetNetwork` is the published network (Reshape Dimensions Network for Speaker Recognition, arXiv
2407.18223) from its stem to the embedding; it gives the outputs of the authors' implementation
(github.com/IDRnD/ReDimNet) for the same weights. Maps ``(C, F, T)`` and signals ``(C · F, T)`` are the same
numbers in two shapes, so two-dimensional and one-dimensional parts take turns; a stage that divides the
bins F multiplies the channels C by as much, so the outputs of all stages can be added; each stage sees a
learnt weighted sum of the outputs of the stem and all stages before it, and so does the pooling. Time is
never strided.

Ours is what stands for the spectrogram, in :class:`Redimnet`; the authors' network hears log mel energies of
15 ms frames, and we know of no published wiring to a student's states: their weighted sum is mapped to F
values a frame, each of which loses its mean over the utterance, as the authors' features do. The map has no
bias, which that would undo. Kernels over time are the authors' although frames are 20 ms.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from svmixer.models.backends.redimnet_parts import (
    EPSILON,
    SIZES,
    AttentivePooling,
    ChannelNorm,
    ConvNextBlock,
    RedimnetSize,
    ResnetBlock,
    SignalBlock,
    StageSize,
    map_conv,
)
from svmixer.models.config import BackendConfig
from svmixer.models.layers import state_weights, weighted_sum


def to_signal(maps: Tensor) -> Tensor:
    """``(B, C, F, T)`` → ``(B, C · F, T)``; row f · C + c of the signal is bin f of channel c."""
    return maps.transpose(1, 2).flatten(1, 2)


def to_maps(signal: Tensor, channels: int) -> Tensor:
    """``(B, C · F, T)`` → ``(B, C, F, T)``: undoes :func:`to_signal`."""
    return signal.unflatten(1, (-1, channels)).transpose(1, 2)


def map_block(size: RedimnetSize, width: int, bins: int) -> nn.Module:
    """The kind of two-dimensional block that ``size`` names."""
    if size.block == "convnext":
        return ConvNextBlock(width, size.group_width)
    return ResnetBlock(width, size.group_width, bins if size.block == "resnet_gated" else 0)


class Projection(nn.Module):
    """From the wider channels of the two-dimensional blocks back to those of the stage."""

    def __init__(self, width: int, channels: int, group_width: int) -> None:
        super().__init__()
        self.conv = map_conv(width, channels, max(1, channels // group_width))
        self.norm = nn.BatchNorm2d(channels, eps=EPSILON)
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, W, F, T)`` → ``(B, C, F, T)``."""
        return self.mix(F.gelu(self.norm(self.conv(x))))


class Stage(nn.Module):
    """Signal → maps with fewer bins, more channels → two-dimensional part → one-dimensional part."""

    def __init__(self, size: RedimnetSize, stage: StageSize, channels: int, bins: int) -> None:
        super().__init__()
        self.channels = channels
        channels, bins = channels * stage.stride, bins // stage.stride
        width = channels * stage.expansion
        step = (stage.stride, 1)
        self.divide = nn.Conv2d(self.channels, width, kernel_size=step, stride=step)
        self.maps = nn.Sequential(*(map_block(size, width, bins) for _ in range(stage.blocks)))
        self.project = Projection(width, channels, size.group_width) if width != channels else nn.Identity()
        self.signal = SignalBlock(size.rows, stage.inner) if stage.inner else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``(B, R, T)`` → ``(B, R, T)``."""
        maps = self.maps(self.divide(to_maps(x, self.channels)))
        return self.signal(to_signal(self.project(maps)))


class WeightedOutputs(nn.Module):
    """Weighted sum of the outputs so far; a row's weights sum to one and start equal."""

    def __init__(self, outputs: int, rows: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, rows, 1))

    def forward(self, outputs: list[Tensor]) -> Tensor:
        """Each ``(B, R, T)`` → ``(B, R, T)``."""
        weights = torch.softmax(self.weight, dim=0)
        total = outputs[0] * weights[0]
        for output, weight in zip(outputs[1:], weights[1:], strict=True):
            total = total + output * weight
        return total


class RedimnetNetwork(nn.Module):
    """The published network without its front end: stem, stages, pooling, embedding."""

    def __init__(self, size: RedimnetSize, embedding: int) -> None:
        super().__init__()
        channels, bins = size.channels, size.bins
        self.stem = nn.Sequential(map_conv(1, channels, 1), ChannelNorm(channels))
        self.stages = nn.ModuleList()
        for stage in size.stages:
            self.stages.append(Stage(size, stage, channels, bins))
            channels, bins = channels * stage.stride, bins // stage.stride
        # The first stage sees the stem alone; the last sum is that of the pooling.
        self.sums = nn.ModuleList(WeightedOutputs(index + 2, size.rows) for index in range(len(self.stages)))
        self.pool = AttentivePooling(size.rows, size.attention_channels)
        self.norm = nn.BatchNorm1d(2 * size.rows)
        self.linear = nn.Linear(2 * size.rows, embedding)

    def signal(self, bins: Tensor) -> Tensor:
        """``(B, F, T)`` → what is pooled, ``(B, R, T)``."""
        x = to_signal(self.stem(bins.unsqueeze(1)))
        outputs = [x]
        for stage, total in zip(self.stages, self.sums, strict=True):
            outputs.append(stage(x))
            x = total(outputs)
        return x

    def forward(self, bins: Tensor) -> Tensor:
        """``(B, F, T)`` → ``(B, D)``, not scaled to unit length."""
        return self.linear(self.norm(self.pool(self.signal(bins))))


class Redimnet(nn.Module):
    """Hidden states → embedding: weighted sum, map to F bins without their means, the published network."""

    def __init__(self, config: BackendConfig, states: int, hidden: int) -> None:
        super().__init__()
        size = SIZES[config.redimnet.size]
        self.w = state_weights(states)
        self.map = nn.Linear(hidden, size.bins, bias=False)
        self.network = RedimnetNetwork(size, config.embedding)

    def forward(self, states: Tensor) -> Tensor:
        """``(B, L + 1, T, H)`` → ``(B, D)``, not scaled to unit length."""
        x = self.map(weighted_sum(states, self.w))  # (B, T, F)
        return self.network((x - x.mean(dim=1, keepdim=True)).transpose(1, 2))
