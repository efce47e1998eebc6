"""Backends without frames: the weighted sum of states, and a linear layer on it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from svmixer.models.config import BackendConfig


def state_weights(states: int) -> nn.Parameter:
    """Weights ``(1, L + 1, 1, 1)``, used as they are (no softmax), drawn from U(0, 1)."""
    return nn.Parameter(torch.rand(1, states, 1, 1))


def weighted_sum(states: Tensor, weights: Tensor) -> Tensor:
    """``(B, L + 1, T, H)`` and ``(1, L + 1, 1, 1)`` → ``(B, T, H)``."""
    return torch.einsum("blth,l->bth", states, weights.flatten())


class LinearBackend(nn.Module):
    """Hidden states → embedding without anything in between that could be fitted to few speakers."""

    def __init__(self, config: BackendConfig, states: int, hidden: int) -> None:
        super().__init__()
        self.w = state_weights(states)
        self.linear = nn.Linear(hidden, config.embedding)

    def forward(self, states: Tensor) -> Tensor:
        """``(B, L + 1, T, H)`` → ``(B, D)``, not scaled to unit length."""
        return self.linear(weighted_sum(states, self.w).mean(dim=1))
