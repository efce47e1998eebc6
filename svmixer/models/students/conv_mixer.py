"""ConvMixer for keyword spotting (Ng et al., Interspeech 2022): a student to compare with (Table I).

Its layer at this size is not public. Ours puts a separable convolution in front of an MLP-Mixer layer, with
the sizes of SV-Mixer's convolutions: depthwise over 7 frames, then 3 frames in groups of ``group_width``
channels. At H = 1024 and T = 149 that is 8,980,657 parameters and 1.49 GMACs (paper: 9.02M and 1.48).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from svmixer.models.config import StudentConfig
from svmixer.models.layers import FrameConv
from svmixer.models.students.mixer import mlp_mixer_layer


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
    """A layer of ConvMixer: the separable convolution, then mixing over time and over channels."""
    return nn.Sequential(
        SeparableConv(config.hidden, config.groups, config.dropout), mlp_mixer_layer(config, last)
    )
