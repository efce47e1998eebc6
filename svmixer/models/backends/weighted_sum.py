"""What every backend starts with: a learnable weighted sum over the hidden states."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def state_weights(states: int) -> nn.Parameter:
    """Weights ``(1, L + 1, 1, 1)``, used as they are (no softmax), drawn from U(0, 1)."""
    return nn.Parameter(torch.rand(1, states, 1, 1))


def weighted_sum(states: Tensor, weights: Tensor) -> Tensor:
    """``(B, L + 1, T, H)`` and ``(1, L + 1, 1, 1)`` → ``(B, T, H)``."""
    return torch.einsum("blth,l->bth", states, weights.flatten())
