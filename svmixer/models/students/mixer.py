"""Mixers: mixing over time, then over channels. SV-Mixer, its ablations (Table II) and the MLP-Mixer.

The vanilla block is that of the MLP-Mixer (Tolstikhin et al., NeurIPS 2021): one MLP over all frames, one
over all channels. ``StudentConfig.mixing`` says which parts of SV-Mixer stand in their place.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional as F

from svmixer.models.config import StudentConfig
from svmixer.models.layers import TimeLinear
from svmixer.models.mixing import LocalGlobalMixing, MixerBlock, MultiScaleGroupMixing


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
