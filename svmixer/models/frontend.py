"""Front end, waveform → a frame every 20 ms (as in wav2vec 2.0, or from log-mel bands), and projection."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from svmixer.models.config import FrontendConfig
from svmixer.models.layers import FrameConv, TimeGroupNorm
from svmixer.models.spectrum_masks import SpectrumMasks

RATE = 16000  # samples per second that the bands are laid out for
PHASES = 4  # 0, 90, 180 and 270 degrees: a rectifier behind them loses neither half of a band's energy
LOWEST_HZ, HIGHEST_HZ = 30.0, 7900.0  # edges of the first and of the last band
# Narrower bands do not fit a window of 25 ms.
NARROWEST_HZ = 60.0
# Added to a band's energy before the logarithm: above the rounding noise of 16 bits, below quiet speech.
LEAST_ENERGY = 1e-6
# Logarithms of speech lie between about -14 and 6, (log + SHIFT) · SCALE between -2.5 and 2.5.
SHIFT, SCALE = 4.0, 0.25


def mel_centres(bands: int, lowest: float = LOWEST_HZ, highest: float = HIGHEST_HZ) -> np.ndarray:
    """First edge, centres and last edge of ``bands`` bands in Hz, ``(bands + 2,)``.

    They are equally far apart on the mel scale 2595·log10(1 + f/700).
    """
    low, high = (2595 * np.log10(1 + f / 700) for f in (lowest, highest))
    return 700 * (10 ** (np.linspace(low, high, bands + 2) / 2595) - 1)


def mel_wavelets(filters: int, kernel: int) -> Tensor:
    """Gabor wavelets ``(filters, kernel)`` at 16 kHz, four phases a band, lowest band first.

    A band's response falls to half its maximum (−6 dB) half-way to its neighbours' centres. Every filter has
    unit norm: it lets white noise through at that noise's own power.

    Raises:
        ValueError: ``filters`` is no multiple of 4.
    """
    if filters % PHASES:
        raise ValueError(f"a mel filterbank has {PHASES} phases a band: {filters} filters are no multiple")
    edges = mel_centres(filters // PHASES)
    time = (np.arange(kernel) - (kernel - 1) / 2) / RATE
    rows = []
    for low, centre, high in zip(edges[:-2], edges[1:-1], edges[2:], strict=True):
        width = max((high - low) / 2, NARROWEST_HZ)
        # A Gaussian envelope's spectrum is a Gaussian of deviation 1 / (2 π deviation).
        deviation = np.sqrt(2 * np.log(2)) / (np.pi * width)
        envelope = np.exp(-(time**2) / (2 * deviation**2))
        for phase in range(PHASES):
            wavelet = envelope * np.cos(2 * np.pi * centre * time + phase * 2 * np.pi / PHASES)
            rows.append(wavelet / np.linalg.norm(wavelet))
    return torch.tensor(np.array(rows), dtype=torch.float32)


@torch.no_grad()
def start_as_mel(weight: Tensor) -> None:
    """Make the weight ``(filters, 1, kernel)`` of a convolution over the waveform the filterbank."""
    weight.copy_(mel_wavelets(weight.shape[0], weight.shape[2]).unsqueeze(1))


def mel_triangles(bands: int, bins: int, highest: float = HIGHEST_HZ) -> Tensor:
    """Weights ``(bins, bands)`` of spectral powers at ``bins`` frequencies, evenly spaced from 0 to 8 kHz.

    A band rises from its lower neighbour's centre to its own, where it is 1, and falls to the upper one's. No
    side is narrower than the distance of two frequencies, so no band is empty.
    """
    spacing = RATE / 2 / (bins - 1)
    frequencies = np.arange(bins) * spacing
    edges = mel_centres(bands, highest=highest)
    columns = []
    for low, centre, high in zip(edges[:-2], edges[1:-1], edges[2:], strict=True):
        rise, fall = max(centre - low, spacing), max(high - centre, spacing)
        rising, falling = (frequencies - centre + rise) / rise, (centre + fall - frequencies) / fall
        columns.append(np.clip(np.minimum(rising, falling), 0.0, None))
    return torch.tensor(np.stack(columns, axis=1), dtype=torch.float32)


class LogMel(nn.Module):
    """Waveform → scaled logarithms of mel band energies, without parameters.

    The spectrum is a matrix product with windowed cosines and sines: it differentiates and exports like any
    other layer, and costs what a convolution with 400 filters does.
    """

    # What is laid over the bands in training; None: nothing.
    masks: SpectrumMasks | None = None

    def __init__(self, bands: int, window: int, hop: int, highest: float = HIGHEST_HZ) -> None:
        super().__init__()
        self.window, self.hop = window, hop
        points = 1 << (window - 1).bit_length()
        angle = 2 * np.pi / points * np.outer(np.arange(window), np.arange(points // 2 + 1))
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
        waves = np.concatenate([np.cos(angle), np.sin(angle)], axis=1) * hann[:, None]
        # Made anew with every model: they are not part of what is saved.
        self.register_buffer("waves", torch.tensor(waves, dtype=torch.float32), persistent=False)
        self.register_buffer("bands", mel_triangles(bands, points // 2 + 1, highest), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Samples ``(B, N, 1)`` → ``(B, (N - window) // hop + 1, bands)``."""
        spectrum = x.squeeze(2).unfold(1, self.window, self.hop) @ self.waves
        real, imaginary = spectrum.chunk(2, dim=2)
        energy = (real.square() + imaginary.square()) @ self.bands
        features = ((energy + LEAST_ENERGY).log() + SHIFT) * SCALE
        return features if self.masks is None or not self.training else self.masks(features)


@torch.no_grad()
def start_as_cepstrum(linear: nn.Linear) -> None:
    """Make the first outputs of a map of log-mel bands their orthonormal cosine transform (DCT-II), in order.

    Outputs behind the last coefficient stay as they are.
    """
    bands = linear.in_features
    orders, centres = np.arange(bands)[:, None], np.arange(bands)[None] + 0.5
    transform = np.cos(np.pi / bands * orders * centres) * np.sqrt(2 / bands)
    transform[0] /= np.sqrt(2)
    count = min(bands, linear.out_features)
    linear.weight[:count] = torch.tensor(transform[:count], dtype=linear.weight.dtype)
    linear.bias[:count] = 0.0


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
