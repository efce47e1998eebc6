"""Mixers: mixing over time, then over channels. SV-Mixer, its ablations (Table II) and the MLP-Mixer.

SV-Mixer mixes without attention (LGM, then MSM and GCM): Heo et al., "SV-Mixer" (ASRU 2025), section III.
The vanilla block is that of the MLP-Mixer (Tolstikhin et al., NeurIPS 2021): one MLP over all frames, one
over all channels. ``StudentConfig.mixing`` says which parts of SV-Mixer stand in their place.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from svmixer.models.config import StudentConfig
from svmixer.models.layers import FrameConv, GroupedLinear, TimeLinear, upsampling_matrix


class LocalGlobalMixing(nn.Module):
    """LGM: each channel mixed over time by depthwise convolutions (local) and an MLP on all frames."""

    def __init__(self, hidden: int, frames: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.local_mix1 = FrameConv(hidden, hidden, 7, padding=3, groups=hidden)
        self.local_mix2 = FrameConv(hidden, hidden, 3, padding=1, groups=hidden)
        self.linear1 = TimeLinear(frames, expansion * frames)
        self.linear2 = TimeLinear(expansion * frames, frames)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, H)`` → ``(B, T, H)``, residual included."""
        u = self.norm(x)
        local_mixed = self.local_mix2(F.gelu(self.local_mix1(u)))
        global_mixed = self.linear2(F.gelu(self.linear1(u)))
        return x + self.dropout(local_mixed + global_mixed)


class MultiScaleGroupMixing(nn.Module):
    """MSM and GCM: grouped channel MLPs at half and full frame rate, added; then a grouped convolution.

    For the ablations (Table II) either can be left out. Without ``multi_scale`` (MSM) there is the branch at
    full rate alone; without ``grouped`` (GCM) the branches are full MLPs and nothing follows their sum.
    """

    def __init__(
        self,
        hidden: int,
        frames: int,
        groups: int,
        expansion: int,
        dropout: float,
        multi_scale: bool = True,
        grouped: bool = True,
    ) -> None:
        super().__init__()
        inner = expansion * hidden
        self.groups = groups if grouped else 1
        self.multi_scale = multi_scale
        self.grouped = grouped
        self.norm1 = nn.LayerNorm(hidden)
        if multi_scale:
            # Half frame rate.
            self.fc1 = GroupedLinear(hidden, inner, self.groups)
            self.fc2 = GroupedLinear(inner, hidden, self.groups)
            self.register_buffer("upsample", upsampling_matrix(frames // 2, frames), persistent=False)
        # Full frame rate.
        self.fc3 = GroupedLinear(hidden, inner, self.groups)
        self.fc4 = GroupedLinear(inner, hidden, self.groups)
        if grouped:
            # Their sum.
            self.fc5 = FrameConv(hidden, hidden, 3, padding=1, groups=groups)
            self.fc6 = FrameConv(hidden, hidden, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, H)`` → ``(B, T, H)``, residual included."""
        v = self.norm1(x)
        mixed = self.channel_mlp(v, self.fc3, self.fc4)
        if self.multi_scale:
            pairs = v[:, : v.shape[1] // 2 * 2].unflatten(1, (-1, 2))  # (B, T // 2, 2, H)
            half = self.channel_mlp(pairs.mean(dim=2), self.fc1, self.fc2)
            mixed = mixed + torch.matmul(self.upsample, half)
        if self.grouped:
            mixed = self.group_mixing(mixed)
        return x + self.dropout(mixed)

    def group_mixing(self, x: Tensor) -> Tensor:
        """What follows the sum of the branches: ``(B, T, H)`` → ``(B, T, H)``."""
        return self.fc6(F.gelu(self.fc5(x)))

    def channel_mlp(self, x: Tensor, expand: GroupedLinear, reduce: GroupedLinear) -> Tensor:
        """One branch: ``(B, T, H)`` → ``(B, T, H)``."""
        batch, frames, _ = x.shape
        rows = x.reshape(batch * frames, self.groups, -1).transpose(0, 1)  # (G, B * T, H / G)
        rows = reduce(F.gelu(expand(rows)))
        return rows.transpose(0, 1).reshape(batch, frames, -1)


class MixerBlock(nn.Module):
    """Mixing over time, then over channels; each part carries its own norm and residual."""

    def __init__(self, token_mixing: nn.Module, channel_mixing: nn.Module) -> None:
        super().__init__()
        self.token_mixing = token_mixing
        self.channel_mixing = channel_mixing

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, H)`` → ``(B, T, H)``."""
        return self.channel_mixing(self.token_mixing(x))


class TokenMlp(nn.Module):
    """The same MLP over the frames of every channel, T → 4T → T, with norm and residual."""

    def __init__(self, hidden: int, frames: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.linear1 = TimeLinear(frames, expansion * frames)
        self.linear2 = TimeLinear(expansion * frames, frames)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, H)`` → ``(B, T, H)``, residual included."""
        return x + self.dropout(self.linear2(F.gelu(self.linear1(self.norm(x)))))


class ChannelMlp(nn.Module):
    """The same MLP over the channels of every frame, with norm and residual."""

    def __init__(self, hidden: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.linear1 = nn.Linear(hidden, inner)
        self.linear2 = nn.Linear(inner, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, H)`` → ``(B, T, H)``, residual included."""
        return x + self.dropout(self.linear2(F.gelu(self.linear1(self.norm(x)))))


def mixer_layer(config: StudentConfig, last: bool) -> MixerBlock:
    """A layer of SV-Mixer, or of the ablation that ``config.mixing`` leaves of it.

    The channel mixing of the last layer has no dropout.
    """
    sizes = (config.hidden, config.frames, config.expansion, config.dropout)
    token_mixing = LocalGlobalMixing(*sizes) if "lgm" in config.mixing else TokenMlp(*sizes)
    dropout = 0.0 if last else config.dropout
    multi_scale, grouped = "msm" in config.mixing, "gcm" in config.mixing
    channel_mixing: nn.Module
    if multi_scale or grouped:
        channel_mixing = MultiScaleGroupMixing(
            config.hidden, config.frames, config.groups, config.expansion, dropout, multi_scale, grouped
        )
    else:
        channel_mixing = ChannelMlp(config.hidden, config.expansion * config.hidden, dropout)
    return MixerBlock(token_mixing, channel_mixing)


def mlp_mixer_layer(config: StudentConfig, last: bool) -> MixerBlock:
    """A layer of the MLP-Mixer: the ablation that leaves nothing of SV-Mixer."""
    return mixer_layer(replace(config, encoder="svmixer", mixing=()), last)
