"""Backends for training sets with few speakers: statistics over time with at most one linear map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from svmixer.errors import SvmixerError
from svmixer.models.backends.ecapa import floored_root
from svmixer.models.config import BackendConfig, WhitenedStatisticsConfig, statistics_size
from svmixer.models.frontend import LogMel, to_level
from svmixer.models.layers import FrameBatchNorm, state_weights, weighted_sum
from svmixer.models.whitening import Whitening

# Samples of a frame of the log-mel bands and from one to the next (25 and 10 ms); level of a window in dB.
BAND_WINDOW, BAND_HOP, BAND_LEVEL = 400, 160, -20.0


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
        check_statistics(chosen, self.config.covariance, states, hidden)
        self.w = None if chosen else state_weights(states)
        size = statistics_size(hidden, max(1, len(chosen)), self.config.covariance)
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
        if self.w is None:
            chosen = [states[:, index] for index in self.config.states]
        else:
            chosen = [weighted_sum(states, self.w)]
        x = self.norm(pool(chosen, states[:, 0], self.config.covariance))
        return x if self.linear is None else self.linear(x)


class WhitenedStatistics(nn.Module):
    """Mean and deviation of chosen states and of log-mel bands, covariances of state 0, whitened: nothing is
    trained on labels.

    Statistics of what stands right behind the filterbank tell speakers apart with hardly any training; what a
    backend has learned holds across channels. Side by side they err less than either.
    """

    def __init__(self, config: WhitenedStatisticsConfig, states: int, hidden: int) -> None:
        """
        Raises:
            SvmixerError: a chosen state does not exist, or there are fewer channels than ``covariance``.
        """
        super().__init__()
        check_statistics(config.states, config.covariance, states, hidden)
        self.config = config
        self.bands = LogMel(config.bands, BAND_WINDOW, BAND_HOP, config.below_hz) if config.bands else None
        self.whitening = Whitening(config.size(hidden))

    def pool(self, states: Tensor, wave: Tensor) -> Tensor:
        """States ``(B, L + 1, T, H)`` of windows ``(B, N)`` → what is whitened, ``(B, D)``."""
        chosen = [states[:, index] for index in self.config.states]
        if self.bands is not None:
            chosen.append(self.bands(to_level(wave, BAND_LEVEL).unsqueeze(2)))
        return pool(chosen, states[:, 0], self.config.covariance)

    def forward(self, states: Tensor, wave: Tensor) -> Tensor:
        """States ``(B, L + 1, T, H)`` of windows ``(B, N)`` → ``(B, D)``, not scaled to unit length."""
        return self.whitening(self.pool(states, wave))


def check_statistics(chosen: tuple[int, ...], covariance: int, states: int, hidden: int) -> None:
    """
    Raises:
        SvmixerError: a chosen state does not exist, or there are fewer channels than ``covariance``.
    """
    if chosen and max(chosen) >= states:
        raise SvmixerError(f"statistics: there is no state {max(chosen)}; the student has 0 to {states - 1}")
    if covariance > hidden:
        raise SvmixerError(f"statistics: covariance {covariance} of {hidden} channels")


def pool(chosen: list[Tensor], first: Tensor, covariance: int) -> Tensor:
    """Means and deviations of each ``(B, T, H)`` over time, and covariances of ``first``: ``(B, D)``."""
    parts = []
    for x in chosen:
        mean = x.mean(dim=1)
        parts += [mean, floored_root((x - mean.unsqueeze(1)).square().mean(dim=1))]
    if covariance:
        parts.append(covariances(first[:, :, :covariance]))
    return torch.cat(parts, dim=1)


def covariances(x: Tensor) -> Tensor:
    """``(B, T, K)`` → ``(B, K (K + 1) / 2)``: covariances over time, row by row of the upper triangle."""
    centred = x - x.mean(dim=1, keepdim=True)
    matrix = centred.transpose(1, 2) @ centred / x.shape[1]
    rows, columns = torch.triu_indices(x.shape[2], x.shape[2], device=x.device)
    return matrix[:, rows, columns]
