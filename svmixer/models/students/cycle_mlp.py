"""CycleMLP (Chen et al., ICLR 2022) with time as its one axis: a student to compare with (Table I)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from svmixer.models.config import StudentConfig
from svmixer.models.students.mixer import ChannelMlp

# Neighbouring channels look this many frames around, in turn.
CYCLE = 3
BRANCHES = 3


def cycle_shift(x: Tensor, direction: int) -> Tensor:
    """Every channel of ``(B, T, H)`` shifted in time.

    Frame t of channel c of the result holds frame t + s of the input, or zero where there is none, with
    s = ``direction`` · ((c + ⌊CYCLE / 2⌋) mod CYCLE − ⌊CYCLE / 2⌋).
    """
    reach = CYCLE // 2
    padded = F.pad(x, (0, 0, reach, reach))
    shifted = torch.empty_like(x)
    for phase in range(CYCLE):
        shift = direction * ((phase + reach) % CYCLE - reach)
        start = reach + shift
        shifted[:, :, phase::CYCLE] = padded[:, start : start + x.shape[1], phase::CYCLE]
    return shifted


class CycleMixing(nn.Module):
    """Three fully connected branches with norm and residual, weighted channel by channel (split attention).

    Two of them see cyclically shifted frames, in opposite directions, one the frames as they are. The weights
    come from the branches' sum, averaged over time.
    """

    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.forth = nn.Linear(hidden, hidden, bias=False)
        self.back = nn.Linear(hidden, hidden, bias=False)
        self.plain = nn.Linear(hidden, hidden, bias=False)
        self.reweight1 = nn.Linear(hidden, max(hidden // 4, 1))
        self.reweight2 = nn.Linear(max(hidden // 4, 1), BRANCHES * hidden)
        self.projection = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, H)`` → ``(B, T, H)``, residual included."""
        u = self.norm(x)
        branches = torch.stack(
            [self.forth(cycle_shift(u, 1)), self.back(cycle_shift(u, -1)), self.plain(u)], dim=1
        )  # (B, 3, T, H)
        pooled = branches.sum(dim=1).mean(dim=1)  # (B, H)
        weights = self.reweight2(F.gelu(self.reweight1(pooled))).unflatten(1, (BRANCHES, -1)).softmax(dim=1)
        mixed = torch.einsum("bkth,bkh->bth", branches, weights)
        return x + self.dropout(self.projection(mixed))


class CycleMlpLayer(nn.Module):
    """Cycle mixing, then an MLP of width 2 H over the channels."""

    def __init__(self, config: StudentConfig, last: bool) -> None:
        super().__init__()
        self.token_mixing = CycleMixing(config.hidden, config.dropout)
        self.channel_mixing = ChannelMlp(config.hidden, 2 * config.hidden, 0.0 if last else config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, H)`` → ``(B, T, H)``."""
        return self.channel_mixing(self.token_mixing(x))
