"""ReDimNet (Yakovlev et al., Interspeech 2024) on the weighted sum of the student's hidden states.

Taken from the paper (Reshape Dimensions Network for Speaker Recognition, arXiv 2407.18223): feature maps
``(C, F, T)`` and signals ``(C · F, T)`` are the same numbers in two shapes, so two-dimensional and
one-dimensional parts take turns; a stage that divides the frequencies F multiplies the channels C by as much,
so C · F · T stays the same throughout and the outputs of all stages can be added; each stage sees a learnable
weighted sum of the outputs of the stem and all stages before it, and so does the pooling at the end, which is
attentive statistics; then a linear map to the embedding. Time is never strided.

Chosen here, not the paper's: what stands for the spectrogram (a linear map of the states to F values); sizes
and strides; ResNet's basic blocks as two-dimensional parts; a bottleneck with one long depth-wise convolution
as the one-dimensional part, without self-attention; softmax over the weights of a sum, one for each of the
C · F rows; the pooling of our ECAPA-TDNN. Nothing was compared with the authors' implementation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from svmixer.models.backends.ecapa import attention_layers, attentive_statistics
from svmixer.models.backends.weighted_sum import state_weights, weighted_sum
from svmixer.models.config import BackendConfig
from svmixer.models.layers import FrameBatchNorm, FrameConv


def to_signal(maps: Tensor) -> Tensor:
    """``(B, C, F, T)`` → ``(B, T, C · F)``; row c · F + f of the signal is frequency f of channel c."""
    return maps.flatten(1, 2).transpose(1, 2)


def to_maps(signal: Tensor, channels: int) -> Tensor:
    """``(B, T, C · F)`` → ``(B, C, F, T)``: undoes :func:`to_signal`."""
    return signal.transpose(1, 2).unflatten(1, (channels, -1))


class MapBlock(nn.Module):
    """The two-dimensional part: two 3×3 convolutions and a residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, F, T)`` → ``(B, C, F, T)``."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(x + y)


class SignalBlock(nn.Module):
    """The one-dimensional part: all rows mixed through a bottleneck with a long convolution over time."""

    def __init__(self, rows: int, bottleneck: int, kernel: int) -> None:
        super().__init__()
        self.reduce = FrameConv(rows, bottleneck, 1)
        self.bn1 = FrameBatchNorm(bottleneck)
        self.time = FrameConv(bottleneck, bottleneck, kernel, padding=kernel // 2, groups=bottleneck)
        self.bn2 = FrameBatchNorm(bottleneck)
        self.expand = FrameConv(bottleneck, rows, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, C · F)`` → ``(B, T, C · F)``."""
        y = F.gelu(self.bn1(self.reduce(x)))
        return x + self.expand(F.gelu(self.bn2(self.time(y))))


class Stage(nn.Module):
    """Signal → maps with fewer frequencies, more channels → two-dimensional part → one-dimensional part."""

    def __init__(
        self, channels: int, bins: int, stride: int, blocks: int, bottleneck: int, kernel: int
    ) -> None:
        super().__init__()
        self.channels = channels
        wider = channels * stride
        self.divide = nn.Conv2d(channels, wider, 3, stride=(stride, 1), padding=1, bias=False)
        self.bn = nn.BatchNorm2d(wider)
        self.maps = nn.Sequential(*(MapBlock(wider) for _ in range(blocks)))
        self.signal = SignalBlock(channels * bins, bottleneck, kernel)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, C · F)`` → ``(B, T, C · F)``."""
        y = F.relu(self.bn(self.divide(to_maps(x, self.channels))))
        return self.signal(to_signal(self.maps(y)))


class WeightedOutputs(nn.Module):
    """Weighted sum of the outputs so far; a row's weights sum to one and start equal."""

    def __init__(self, outputs: int, rows: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, rows))

    def forward(self, outputs: list[Tensor]) -> Tensor:
        """Each ``(B, T, C · F)`` → ``(B, T, C · F)``."""
        weights = torch.softmax(self.weight, dim=0)
        total = outputs[0] * weights[0]
        for output, weight in zip(outputs[1:], weights[1:], strict=True):
            total = total + output * weight
        return total


class Redimnet(nn.Module):
    """Hidden states → embedding: weighted sum, map to F bins, stem, stages, attentive pooling."""

    def __init__(self, config: BackendConfig, states: int, hidden: int) -> None:
        super().__init__()
        sizes = config.redimnet
        channels, bins = sizes.channels, sizes.bins
        rows = channels * bins
        self.w = state_weights(states)
        self.map = nn.Linear(hidden, bins)
        self.stem = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.stages = nn.ModuleList()
        for stride, kernel in zip(sizes.strides, sizes.kernels, strict=True):
            self.stages.append(Stage(channels, bins, stride, sizes.blocks, rows // sizes.reduction, kernel))
            channels, bins = channels * stride, bins // stride
        self.sums = nn.ModuleList(WeightedOutputs(index + 2, rows) for index in range(len(self.stages)))
        self.attention = attention_layers(rows, sizes.attention_channels)
        self.norm = FrameBatchNorm(2 * rows)
        self.linear = nn.Linear(2 * rows, config.embedding)

    def forward(self, states: Tensor) -> Tensor:
        """``(B, L + 1, T, H)`` → ``(B, D)``, not scaled to unit length."""
        x = self.map(weighted_sum(states, self.w))  # (B, T, F)
        x = to_signal(self.stem(x.transpose(1, 2).unsqueeze(1)))
        outputs = [x]
        for stage, total in zip(self.stages, self.sums, strict=True):
            outputs.append(stage(x))
            x = total(outputs)
        return self.linear(self.norm(attentive_statistics(x, self.attention)))
