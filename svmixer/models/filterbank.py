"""A filterbank on the mel scale as the start of a convolution over the waveform.

Long strides over the waveform are cheap but slow to learn from few speakers. Time-domain filterbanks
(Zeghidour et al., ICASSP 2018) start such a convolution as Gabor wavelets with the centres and widths of mel
bands; it is trained like any other weight afterwards.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

RATE = 16000  # samples per second that the bands are laid out for
PHASES = 4  # 0, 90, 180 and 270 degrees: a rectifier behind them loses neither half of a band's energy
LOWEST_HZ, HIGHEST_HZ = 30.0, 7900.0  # edges of the first and of the last band
# Narrower bands do not fit a window of 25 ms.
NARROWEST_HZ = 60.0


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
