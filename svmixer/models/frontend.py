"""Front end, waveform → a frame every 20 ms (as in wav2vec 2.0, or from log-mel bands), and projection."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from svmixer.models.config import FrontendConfig
from svmixer.models.filterbank import LogMel, start_as_cepstrum, start_as_mel
from svmixer.models.layers import FrameConv, TimeGroupNorm


class ConvLayer(nn.Module):
    """One convolution of the front end: without bias, a norm where there is one, GELU."""

    def __init__(
        self, in_channels: int, channels: int, kernel: int, stride: int, norm: nn.Module | None
    ) -> None:
        super().__init__()
        self.conv = FrameConv(in_channels, channels, kernel, stride, bias=False)
        self.layer_norm = norm
        nn.init.kaiming_normal_(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, N, C_in)`` → ``(B, (N - kernel) // stride + 1, C_out)``."""
        x = self.conv(x)
        if self.layer_norm is not None:
            x = self.layer_norm(x)
        return F.gelu(x)


# Added to the mean square of a window: what is more than 90 dB below full scale is not brought up to speech.
LEAST_POWER = 1e-9


def to_level(wave: Tensor, level: float) -> Tensor:
    """Waveforms ``(B, N)``, each scaled to a root mean square of ``level`` dB of full scale."""
    power = wave.square().mean(dim=1, keepdim=True)
    return wave * (10.0 ** (level / 20.0) * (power + LEAST_POWER).rsqrt())


class ConvFrontend(nn.Sequential):
    """The convolutions; group norm (a channel over time) in the first layer alone or layer norm in each.

    With ``first_layer: log_mel`` the first of them is the fixed filterbank, without norm and GELU. Each
    waveform is brought to ``config.level`` first, if there is one.
    """

    def __init__(self, config: FrontendConfig) -> None:
        layers: list[nn.Module] = []
        in_channels = 1
        shapes = zip(config.channels, config.kernels, config.strides, strict=True)
        for index, (channels, kernel, stride) in enumerate(shapes):
            if index == 0 and config.first_layer == "log_mel":
                layers.append(LogMel(channels, kernel, stride))
                in_channels = channels
                continue
            norm: nn.Module | None = None
            if config.norm == "layer_norm":
                norm = nn.LayerNorm(channels)
            elif index == 0:
                norm = TimeGroupNorm(channels)
            layers.append(ConvLayer(in_channels, channels, kernel, stride, norm))
            in_channels = channels
        super().__init__(*layers)
        self.level = config.level
        if config.first_layer == "mel":
            start_as_mel(self[0].conv.weight)

    def forward(self, wave: Tensor) -> Tensor:
        """Waveforms ``(B, N)`` → features ``(B, T, C)``."""
        return super().forward(self.levelled(wave).unsqueeze(2))

    def levelled(self, wave: Tensor) -> Tensor:
        """Waveforms ``(B, N)`` as the first layer takes them."""
        return wave if self.level is None else to_level(wave, self.level)


class FeatureProjection(nn.Module):
    """Layer norm over the channels, then the linear map to the hidden size, then dropout."""

    def __init__(self, channels: int, hidden: int, dropout: float, cepstrum: bool = False) -> None:
        """``cepstrum``: the first ``channels`` outputs start as the cosine transform of the inputs."""
        super().__init__()
        self.layer_norm = nn.LayerNorm(channels)
        self.projection = nn.Linear(channels, hidden)
        self.dropout = nn.Dropout(dropout)
        if cepstrum:
            start_as_cepstrum(self.projection)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, C)`` → ``(B, T, H)``."""
        return self.dropout(self.projection(self.layer_norm(x)))
