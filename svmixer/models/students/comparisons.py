"""Encoder layers that SV-Mixer is compared with (Table I): CycleMLP, ConvMixer and the Transformer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from svmixer.models.config import StudentConfig
from svmixer.models.layers import FrameConv
from svmixer.models.students.mixer import ChannelMlp, mlp_mixer_layer

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
    """CycleMLP (Chen et al., ICLR 2022) with time as its one axis: cycle mixing, then an MLP of width 2 H."""

    def __init__(self, config: StudentConfig, last: bool) -> None:
        super().__init__()
        self.token_mixing = CycleMixing(config.hidden, config.dropout)
        self.channel_mixing = ChannelMlp(config.hidden, 2 * config.hidden, 0.0 if last else config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, H)`` → ``(B, T, H)``."""
        return self.channel_mixing(self.token_mixing(x))


class SeparableConv(nn.Module):
    """Depthwise, then grouped convolution over time, GELU behind both, with norm and residual."""

    def __init__(self, hidden: int, groups: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.depthwise = FrameConv(hidden, hidden, 7, padding=3, groups=hidden)
        self.grouped = FrameConv(hidden, hidden, 3, padding=1, groups=groups)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, H)`` → ``(B, T, H)``, residual included."""
        u = F.gelu(self.depthwise(self.norm(x)))
        return x + self.dropout(F.gelu(self.grouped(u)))


def conv_mixer_layer(config: StudentConfig, last: bool) -> nn.Sequential:
    """ConvMixer for keyword spotting (Ng et al., Interspeech 2022).

    Its layer at this size is not public. Ours puts a separable convolution in front of an MLP-Mixer layer,
    with the sizes of SV-Mixer's convolutions: depthwise over 7 frames, then 3 frames in groups of
    ``group_width`` channels. At H = 1024 and T = 149 that is 8,980,657 parameters and 1.49 GMACs (paper:
    9.02M and 1.48).
    """
    return nn.Sequential(
        SeparableConv(config.hidden, config.groups, config.dropout), mlp_mixer_layer(config, last)
    )


HEAD_WIDTH = 64


class SelfAttention(nn.Module):
    """Attention of all frames to all frames, in heads of 64 channels, with norm and residual."""

    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__()
        # A hidden size under 64 or between its multiples gets the widest heads up to 64 that divide it.
        self.width = max(width for width in range(1, HEAD_WIDTH + 1) if hidden % width == 0)
        self.norm = nn.LayerNorm(hidden)
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, H)`` → ``(B, T, H)``, residual included."""
        u = self.norm(x)
        query, key, value = (self._heads(linear(u)) for linear in (self.query, self.key, self.value))
        dropout = self.dropout.p if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)  # (B, heads, T, width)
        return x + self.dropout(self.out(mixed.transpose(1, 2).flatten(2)))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (-1, self.width)).transpose(1, 2)


class TransformerLayer(nn.Module):
    """The Transformer's encoder layer (Vaswani et al., NIPS 2017): self-attention, then a feed-forward part
    of width 2 H; layer norms in front of both.

    There is no position embedding: the order of the frames is known to the front end alone.
    """

    def __init__(self, config: StudentConfig, last: bool) -> None:
        super().__init__()
        self.attention = SelfAttention(config.hidden, config.dropout)
        self.feed_forward = ChannelMlp(config.hidden, 2 * config.hidden, 0.0 if last else config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, H)`` → ``(B, T, H)``."""
        return self.feed_forward(self.attention(x))
