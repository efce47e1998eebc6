"""ECAPA-TDNN (Desplanques et al. 2020) on the weighted sum of the student's hidden states."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from svmixer.models.config import BackendConfig
from svmixer.models.layers import FrameBatchNorm, FrameConv, state_weights, weighted_sum

# Floor of a variance before its root.
VARIANCE_FLOOR = 1e-4


class TimeMean(nn.Module):
    """Mean over the frames."""

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, C)`` → ``(B, 1, C)``."""
        return x.mean(dim=1, keepdim=True)


class SqueezeExcitation(nn.Module):
    """Channels scaled by a gate that sees their means over time."""

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.se = nn.Sequential(
            TimeMean(),
            FrameConv(channels, bottleneck, 1),
            nn.ReLU(),
            FrameConv(bottleneck, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, C)`` → ``(B, T, C)``."""
        return x * self.se(x)


class SERes2Block(nn.Module):
    """1×1 convolution, Res2 convolutions over parts of the channels, 1×1 convolution, SE gate, residual."""

    def __init__(self, channels: int, kernel: int, dilation: int, scale: int, bottleneck: int) -> None:
        super().__init__()
        width = channels // scale
        padding = dilation * (kernel - 1) // 2
        self.scale = scale
        self.conv1 = FrameConv(channels, channels, 1)
        self.bn1 = FrameBatchNorm(channels)
        self.convs = nn.ModuleList(
            FrameConv(width, width, kernel, dilation=dilation, padding=padding) for _ in range(scale - 1)
        )
        self.bns = nn.ModuleList(FrameBatchNorm(width) for _ in range(scale - 1))
        self.conv3 = FrameConv(channels, channels, 1)
        self.bn3 = FrameBatchNorm(channels)
        self.se = SqueezeExcitation(channels, bottleneck)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, C)`` → ``(B, T, C)``.

        Each part of the channels but the last is convolved, the result of the part before it added.
        """
        *inputs, last = self.bn1(F.relu(self.conv1(x))).chunk(self.scale, dim=2)
        parts: list[Tensor] = []
        for part, conv, bn in zip(inputs, self.convs, self.bns, strict=True):
            part = part + parts[-1] if parts else part
            parts.append(bn(F.relu(conv(part))))
        y = self.bn3(F.relu(self.conv3(torch.cat([*parts, last], dim=2))))
        return x + self.se(y)


class Ecapa(nn.Module):
    """Hidden states → embedding: weighted sum, instance norm, TDNN with SE-Res2 blocks, attentive pooling."""

    def __init__(self, config: BackendConfig, states: int, hidden: int) -> None:
        super().__init__()
        sizes = config.ecapa
        channels, pooled = sizes.channels, 3 * sizes.channels
        self.noise = sizes.noise
        self.w = state_weights(states)
        self.norm = nn.InstanceNorm1d(hidden) if sizes.instance_norm else nn.Identity()
        self.conv2 = FrameConv(hidden, channels, 5, padding=2)
        self.bn2 = FrameBatchNorm(channels)
        self.layer1, self.layer2, self.layer3 = (
            SERes2Block(channels, 3, dilation, sizes.scale, sizes.se_bottleneck) for dilation in (2, 3, 4)
        )
        self.layer4 = FrameConv(pooled, pooled, 1)
        self.attention = attention_layers(pooled, sizes.attention_channels)
        self.bn5 = FrameBatchNorm(2 * pooled)
        self.fc6 = nn.Linear(2 * pooled, config.embedding)
        self.bn6 = FrameBatchNorm(config.embedding)

    def forward(self, states: Tensor) -> Tensor:
        """``(B, L + 1, T, H)`` → ``(B, D)``, not scaled to unit length."""
        x = weighted_sum(states, self.w)  # (B, T, H)
        x = self.norm(x.transpose(1, 2)).transpose(1, 2)
        if self.training and max(self.noise) > 0:
            x = self._add_noise(x)
        x = self.bn2(F.relu(self.conv2(x)))
        x1 = self.layer1(x)
        x2 = self.layer2(x + x1)
        x3 = self.layer3(x + x1 + x2)
        x = F.relu(self.layer4(torch.cat([x1, x2, x3], dim=2)))
        return self.bn6(self.fc6(self.bn5(self.pool(x))))

    def pool(self, x: Tensor) -> Tensor:
        """Statistics over the frames: ``(B, T, C)`` → ``(B, 2C)``."""
        return attentive_statistics(x, self.attention)

    def _add_noise(self, x: Tensor) -> Tensor:
        low, high = self.noise
        deviation = torch.empty(x.shape[0], 1, 1, device=x.device, dtype=x.dtype).uniform_(low, high)
        return x + deviation * torch.randn_like(x)


def attention_layers(channels: int, bottleneck: int) -> nn.Sequential:
    """``(B, T, 3C)`` → weights ``(B, T, C)`` that sum to one over the frames."""
    return nn.Sequential(
        FrameConv(3 * channels, bottleneck, 1),
        nn.ReLU(),
        FrameBatchNorm(bottleneck),
        nn.Tanh(),
        FrameConv(bottleneck, channels, 1),
        nn.Softmax(dim=1),
    )


def attentive_statistics(x: Tensor, attention: nn.Module) -> Tensor:
    """Attentive statistics with global context: ``(B, T, C)`` → mean and deviation ``(B, 2C)``."""
    centre = x.mean(dim=1, keepdim=True)
    # Unbiased; written out because torch.var over the middle dimension is slow.
    spread = floored_root((x - centre).square().sum(dim=1, keepdim=True) / (x.shape[1] - 1))
    weights = attention(torch.cat([x, centre.expand_as(x), spread.expand_as(x)], dim=2))
    mean = (x * weights).sum(dim=1)
    deviation = floored_root((x.square() * weights).sum(dim=1) - mean.square())
    return torch.cat([mean, deviation], dim=1)


def floored_root(variance: Tensor) -> Tensor:
    """Standard deviation of a variance that is clamped from below, which keeps the gradient finite."""
    return variance.clamp(min=VARIANCE_FLOOR).sqrt()
