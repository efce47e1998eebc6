"""The linear backend of the paper's Table III: weighted sum of the states, mean over time, one linear map."""

from __future__ import annotations

from torch import Tensor, nn

from svmixer.models.backends.weighted_sum import state_weights, weighted_sum
from svmixer.models.config import BackendConfig


class LinearBackend(nn.Module):
    """Hidden states → embedding without anything in between that could be fitted to few speakers."""

    def __init__(self, config: BackendConfig, states: int, hidden: int) -> None:
        super().__init__()
        self.w = state_weights(states)
        self.linear = nn.Linear(hidden, config.embedding)

    def forward(self, states: Tensor) -> Tensor:
        """``(B, L + 1, T, H)`` → ``(B, D)``, not scaled to unit length."""
        return self.linear(weighted_sum(states, self.w).mean(dim=1))
