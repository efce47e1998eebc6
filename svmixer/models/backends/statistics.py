"""Backends for training sets with few speakers: statistics over time with at most one linear map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from svmixer.errors import SvmixerError
from svmixer.models.backends.ecapa import floored_root
from svmixer.models.config import BackendConfig
from svmixer.models.layers import FrameBatchNorm, state_weights, weighted_sum


class LinearBackend(nn.Module):
    """Hidden states → embedding without anything in between that could be fitted to few speakers."""

    def __init__(self, config: BackendConfig, states: int, hidden: int) -> None:
        super().__init__()
        self.w = state_weights(states)
        self.linear = nn.Linear(hidden, config.embedding)

    def forward(self, states: Tensor) -> Tensor:
        """``(B, L + 1, T, H)`` → ``(B, D)``, not scaled to unit length."""
        return self.linear(weighted_sum(states, self.w).mean(dim=1))


class StatisticsBackend(nn.Module):
    """Statistics of the states over time → batch norm → linear map.

    Of the weighted sum of the states, or of each chosen state, come mean and deviation; then, if asked for,
    the covariances between the first channels of state 0. Behind log-mel bands these channels start as a
    cepstrum, whose second moments tell voices apart that have the same mean spectrum.

    The map starts as the identity where the sizes allow: the embedding then starts as the standardised
    statistics, which tell speakers apart before anything is trained. Without a map it stays at that.
    """

    def __init__(self, config: BackendConfig, states: int, hidden: int) -> None:
        """
        Raises:
            ValueError: a chosen state does not exist, there are fewer channels than ``covariance``, or
                without a map the embedding has another size than the statistics.
        """
        super().__init__()
        self.config = config.statistics
        chosen = self.config.states
        if chosen and max(chosen) >= states:
            raise SvmixerError(
                f"statistics: there is no state {max(chosen)}; the student has 0 to {states - 1}"
            )
        if self.config.covariance > hidden:
            raise SvmixerError(f"statistics: covariance {self.config.covariance} of {hidden} channels")
        self.w = None if chosen else state_weights(states)
        size = 2 * hidden * max(1, len(chosen)) + self.config.covariance * (self.config.covariance + 1) // 2
        self.norm = FrameBatchNorm(size)
        self.linear = nn.Linear(size, config.embedding) if self.config.linear else None
        if config.embedding == size and self.linear is not None:
            nn.init.eye_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)
        if config.embedding != size and self.linear is None:
            raise SvmixerError(
                f"statistics: embedding must be {size} without a linear map, found {config.embedding}"
            )

    def forward(self, states: Tensor) -> Tensor:
        """``(B, L + 1, T, H)`` → ``(B, D)``, not scaled to unit length."""
        chosen = [states[:, index] for index in self.config.states]
        if self.w is not None:
            chosen = [weighted_sum(states, self.w)]
        parts = []
        for x in chosen:  # (B, T, H)
            mean = x.mean(dim=1)
            parts += [mean, floored_root((x - mean.unsqueeze(1)).square().mean(dim=1))]
        if self.config.covariance:
            parts.append(covariances(states[:, 0, :, : self.config.covariance]))
        x = self.norm(torch.cat(parts, dim=1))
        return x if self.linear is None else self.linear(x)


def covariances(x: Tensor) -> Tensor:
    """``(B, T, K)`` → ``(B, K (K + 1) / 2)``: covariances over time, row by row of the upper triangle."""
    centred = x - x.mean(dim=1, keepdim=True)
    matrix = centred.transpose(1, 2) @ centred / x.shape[1]
    rows, columns = torch.triu_indices(x.shape[2], x.shape[2], device=x.device)
    return matrix[:, rows, columns]
