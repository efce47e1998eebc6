"""Statistics pooling with one linear map: for training sets with few speakers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from svmixer.models.backends.ecapa import floored_root
from svmixer.models.backends.weighted_sum import state_weights, weighted_sum
from svmixer.models.config import BackendConfig
from svmixer.models.layers import FrameBatchNorm


class StatisticsBackend(nn.Module):
    """Weighted sum of the states → mean and deviation over time → batch norm → linear map.

    The map starts as the identity where the sizes allow: the embedding then starts as the standardised
    statistics, which tell speakers apart before anything is trained.
    """

    def __init__(self, config: BackendConfig, states: int, hidden: int) -> None:
        super().__init__()
        self.w = state_weights(states)
        self.norm = FrameBatchNorm(2 * hidden)
        self.linear = nn.Linear(2 * hidden, config.embedding)
        if config.embedding == 2 * hidden:
            nn.init.eye_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)

    def forward(self, states: Tensor) -> Tensor:
        """``(B, L + 1, T, H)`` → ``(B, D)``, not scaled to unit length."""
        x = weighted_sum(states, self.w)  # (B, T, H)
        mean = x.mean(dim=1)
        deviation = floored_root((x - mean.unsqueeze(1)).square().mean(dim=1))
        return self.linear(self.norm(torch.cat([mean, deviation], dim=1)))
