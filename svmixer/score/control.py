"""A control without any model: mean and standard deviation of log-mel bands.

It measures how far the recording set-up alone tells speakers apart on a test set. A speaker model that does
not beat it clearly has not shown that it knows voices.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

NUM_BANDS = 40
FRAME, HOP, FFT = 400, 160, 512
# Band energies count as no less than this under the strongest of the window, dB: digital silence and what a
# filter leaves of a stop band then look alike.
FLOOR_DB = 80.0


class LogMelControl(nn.Module):
    """The control behind the interface of a speaker model, so that it takes the same crops and the same
    scoring.

    It has no parameters; its "embedding" is :func:`log_mel_statistics`.
    """

    window = 48000
    device = torch.device("cpu")

    def forward(self, wave: Tensor) -> Tensor:
        """Windows ``(B, N)`` at 16 kHz → statistics ``(B, 80)``."""
        return torch.from_numpy(log_mel_statistics(wave.numpy()))


def log_mel_statistics(waves: np.ndarray, sample_rate: int = 16000) -> np.ndarray:
    """Shape and spread of the spectrum of each of ``waves [B, N]``: float32 ``[B, 80]``, N at least 400
    samples.

    Forty log-mel bands (25 ms Hann frames every 10 ms); their means over time less the average of the forty,
    so that level does not matter, then their standard deviations less the average of theirs. Neither half
    needs other utterances, and scaling a wave changes nothing.
    """
    frames = np.lib.stride_tricks.sliding_window_view(waves.astype(np.float64), FRAME, axis=1)[:, ::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(FRAME + 1)[:-1], FFT, axis=2)) ** 2
    energy = power @ mel_bands(NUM_BANDS, FFT, sample_rate).T
    peak = energy.max(axis=(1, 2), keepdims=True)
    # A window of zeros has no peak; any positive one gives it the flat spectrum it has.
    floor = np.where(peak > 0, peak, 1.0) * 10 ** (-FLOOR_DB / 10)
    logs = np.log(np.maximum(energy, floor))
    mean, spread = logs.mean(axis=1), logs.std(axis=1)
    parts = [part - part.mean(axis=1, keepdims=True) for part in (mean, spread)]
    return np.concatenate(parts, axis=1).astype(np.float32)


@lru_cache(maxsize=4)
def mel_bands(num_bands: int, fft: int, sample_rate: int) -> np.ndarray:
    """Triangular filters ``[num_bands, fft // 2 + 1]``, equally wide on the mel scale 2595·log10(1 + f/700)
    from 0 Hz to half the sample rate, peak 1.
    """
    top = 2595 * np.log10(1 + sample_rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, num_bands + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(fft, 1 / sample_rate)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequencies - low) / (centre - low), (high - frequencies) / (high - centre)
    return np.clip(np.minimum(rising, falling), 0, None)
