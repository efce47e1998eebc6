"""ECAPA-TDNN (Desplanques et al. 2020) on the weighted sum of the student's hidden states."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from svmixer.models.backends.weighted_sum import state_weights, weighted_sum
from svmixer.models.config import BackendConfig

# Floor of a variance before its root.
VARIANCE_FLOOR = 1e-4


class SqueezeExcitation(nn.Module):
    """Channels scaled by a gate that sees their means over time."""

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.se = nn.Sequential(
            nn.AdaptiveAvgPool1d(1),
            nn.Conv1d(channels, bottleneck, 1),
            nn.ReLU(),
            nn.Conv1d(bottleneck, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T)`` → ``(B, C, T)``."""
        return x * self.se(x)


class SERes2Block(nn.Module):
    """1×1 convolution, Res2 convolutions over parts of the channels, 1×1 convolution, squeeze-excitation, residual."""

    def __init__(self, channels: int, kernel: int, dilation: int, scale: int, bottleneck: int) -> None:
        super().__init__()
        width = channels // scale
        padding = dilation * (kernel - 1) // 2
        self.scale = scale
        self.conv1 = nn.Conv1d(channels, channels, 1)
        self.bn1 = nn.BatchNorm1d(channels)
        self.convs = nn.ModuleList(
            nn.Conv1d(width, width, kernel, dilation=dilation, padding=padding) for _ in range(scale - 1)
        )
        self.bns = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(scale - 1))
        self.conv3 = nn.Conv1d(channels, channels, 1)
        self.bn3 = nn.BatchNorm1d(channels)
        self.se = SqueezeExcitation(channels, bottleneck)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T)`` → ``(B, C, T)``. Each part but the last is convolved with the result of the part before added."""
        first, *middle, last = self.bn1(torch.relu(self.conv1(x))).chunk(self.scale, dim=1)
        part = first
        parts = [part := self.bns[0](torch.relu(self.convs[0](part)))]
        for conv, bn, own in zip(self.convs[1:], self.bns[1:], middle, strict=True):
            part = bn(torch.relu(conv(part + own)))
            parts.append(part)
        y = self.bn3(torch.relu(self.conv3(torch.cat([*parts, last], dim=1))))
        return x + self.se(y)


class Ecapa(nn.Module):
    """Hidden states → embedding: weighted sum, instance norm, TDNN with SE-Res2 blocks, attentive statistics pooling."""

    def __init__(self, config: BackendConfig, states: int, hidden: int) -> None:
        super().__init__()
        sizes = config.ecapa
        channels, pooled = sizes.channels, 3 * sizes.channels
        self.noise = sizes.noise
        self.w = state_weights(states)
        self.norm = nn.InstanceNorm1d(hidden)
        self.conv2 = nn.Conv1d(hidden, channels, 5, padding=2)
        self.bn2 = nn.BatchNorm1d(channels)
        self.layer1, self.layer2, self.layer3 = (
            SERes2Block(channels, 3, dilation, sizes.scale, sizes.se_bottleneck) for dilation in (2, 3, 4)
        )
        self.layer4 = nn.Conv1d(pooled, pooled, 1)
        self.attention = nn.Sequential(
            nn.Conv1d(3 * pooled, sizes.attention_channels, 1),
            nn.ReLU(),
            nn.BatchNorm1d(sizes.attention_channels),
            nn.Tanh(),
            nn.Conv1d(sizes.attention_channels, pooled, 1),
            nn.Softmax(dim=2),
        )
        self.bn5 = nn.BatchNorm1d(2 * pooled)
        self.fc6 = nn.Linear(2 * pooled, config.embedding)
        self.bn6 = nn.BatchNorm1d(config.embedding)

    def forward(self, states: Tensor) -> Tensor:
        """``(B, L + 1, T, H)`` → ``(B, D)``, not normalised to unit length."""
        x = self.norm(weighted_sum(states, self.w).transpose(1, 2))  # (B, H, T)
        if self.training:
            x = self._add_noise(x)
        x = self.bn2(torch.relu(self.conv2(x)))
        x1 = self.layer1(x)
        x2 = self.layer2(x + x1)
        x3 = self.layer3(x + x1 + x2)
        x = torch.relu(self.layer4(torch.cat([x1, x2, x3], dim=1)))
        x = self.bn5(self.pool(x))
        return self.bn6(self.fc6(x))

    def pool(self, x: Tensor) -> Tensor:
        """Attentive statistics pooling with global context: ``(B, C, T)`` → mean and standard deviation ``(B, 2C)``."""
        context = [x.mean(dim=2, keepdim=True), floored_root(x.var(dim=2, keepdim=True))]
        weights = self.attention(torch.cat([x, *(c.expand_as(x) for c in context)], dim=1))
        mean = (x * weights).sum(dim=2)
        std = floored_root((x.square() * weights).sum(dim=2) - mean.square())
        return torch.cat([mean, std], dim=1)

    def _add_noise(self, x: Tensor) -> Tensor:
        low, high = self.noise
        deviation = torch.empty(x.shape[0], 1, 1, device=x.device, dtype=x.dtype).uniform_(low, high)
        return x + deviation * torch.randn_like(x)


def floored_root(variance: Tensor) -> Tensor:
    """Standard deviation, its variance clamped from below so that the gradient stays finite."""
    return variance.clamp(min=VARIANCE_FLOOR).sqrt()
