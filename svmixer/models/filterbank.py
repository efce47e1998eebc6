"""Filterbanks on the mel scale: as the start of a convolution over the waveform, and fixed with a logarithm.

Long strides over the waveform are cheap but slow to learn from few speakers. Time-domain filterbanks
(Zeghidour et al., ICASSP 2018) start such a convolution as Gabor wavelets with the centres and widths of mel
bands; it is trained like any other weight afterwards. Log-mel energies are not trained. A filter in the
recording's path adds constants to them, which a linear map behind statistics over time can take away.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

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


def mel_triangles(bands: int, bins: int) -> Tensor:
    """Weights ``(bins, bands)`` of spectral powers at ``bins`` frequencies, evenly spaced from 0 to 8 kHz.

    A band rises from its lower neighbour's centre to its own, where it is 1, and falls to the upper one's. No
    side is narrower than the distance of two frequencies, so no band is empty.
    """
    spacing = RATE / 2 / (bins - 1)
    frequencies = np.arange(bins) * spacing
    edges = mel_centres(bands)
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

    def __init__(self, bands: int, window: int, hop: int) -> None:
        super().__init__()
        self.window, self.hop = window, hop
        points = 1 << (window - 1).bit_length()
        angle = 2 * np.pi / points * np.outer(np.arange(window), np.arange(points // 2 + 1))
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
        waves = np.concatenate([np.cos(angle), np.sin(angle)], axis=1) * hann[:, None]
        # Made anew with every model: they are not part of what is saved.
        self.register_buffer("waves", torch.tensor(waves, dtype=torch.float32), persistent=False)
        self.register_buffer("bands", mel_triangles(bands, points // 2 + 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Samples ``(B, N, 1)`` → ``(B, (N - window) // hop + 1, bands)``."""
        spectrum = x.squeeze(2).unfold(1, self.window, self.hop) @ self.waves
        real, imaginary = spectrum.chunk(2, dim=2)
        energy = (real.square() + imaginary.square()) @ self.bands
        return ((energy + LEAST_ENERGY).log() + SHIFT) * SCALE


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
