"""A control without any model: mean and standard deviation of log-mel bands.

It measures how far the recording set-up alone tells speakers apart on a test set. A speaker model that does
not beat it clearly has not shown that it knows voices. The whitened form gets from the training speakers what
a model with whitening gets from them, but learns nothing else: it is the harder bar.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from scipy.fft import rfft
from torch import Tensor

from svmixer.audio.dumpset import DumpSet
from svmixer.errors import SvmixerError
from svmixer.inference.windows import utterance_windows
from svmixer.models.frontend import mel_centres
from svmixer.models.speaker_model import EmbeddingModule
from svmixer.models.whitening import Whitening
from svmixer.scoring.utterances import AcrossChannels, lowpass

NUM_BANDS = 40
FRAME, HOP, FFT = 400, 160, 512
# Band energies count as no less than this under the strongest of the window, dB: digital silence and what a
# filter leaves of a stop band then look alike.
FLOOR_DB = 80.0
# Utterances that the mean is taken over, evenly spaced in the list; more do not change the result.
MEAN_OVER = 128
# Utterances that the whitening is fitted on, and its shrinkage: as for the models (svmixer.training.config).
WHITEN_OVER, SHRINKAGE = 2048, 0.1


class LogMelControl(EmbeddingModule):
    """The control behind the interface of a speaker model: it takes the same crops and the same scoring.

    Its "embedding" is :func:`log_mel_statistics` less their mean over other speakers' speech. Without that
    all cosines are near one, and they depend on the unit of the samples.
    """

    window = 48000
    sample_rate = 16000

    def __init__(self, mean: np.ndarray) -> None:
        """``mean (80,)``: see :func:`mean_statistics`."""
        super().__init__()
        self.mean = mean

    def forward(self, wave: Tensor) -> Tensor:
        """Windows ``(B, N)`` at 16 kHz → centred statistics ``(B, 80)``."""
        return torch.from_numpy(log_mel_statistics(wave.numpy()) - self.mean)


class WhitenedControl(LogMelControl):
    """The control with the whitening of the models behind it, fitted on training speakers."""

    def __init__(self, whitening: Whitening) -> None:
        """``whitening``: of 80 numbers, see :func:`fitted_whitening`."""
        super().__init__(np.zeros(2 * NUM_BANDS, dtype=np.float32))
        self.whitening = whitening

    def forward(self, wave: Tensor) -> Tensor:
        """Windows ``(B, N)`` at 16 kHz → whitened statistics ``(B, 80)``."""
        return self.whitening(super().forward(wave))


def mean_statistics(
    dump: DumpSet, lowpass_hz: float = 0.0, channels: AcrossChannels | None = None
) -> np.ndarray:
    """Mean statistics ``(80,)`` of a set whose speakers are not tested, low-passed like the test set, or
    through the channels of both its sides.
    """
    return np.mean(_statistics(dump, _evenly_spaced(len(dump), MEAN_OVER), lowpass_hz, channels), axis=0)


def fitted_whitening(
    dump: DumpSet, lowpass_hz: float = 0.0, channels: AcrossChannels | None = None
) -> Whitening:
    """Whitening of the statistics of a set whose speakers are not tested, low-passed like the test set, or
    through the channels of both its sides.

    Raises:
        ValueError: the set has no utt2spk, or no speaker with two utterances: see :meth:`Whitening.fit`.
    """
    if dump.speakers is None:
        raise SvmixerError("whitening: no utt2spk")
    chosen = _evenly_spaced(len(dump), WHITEN_OVER)
    names = [dump.speakers[index] for index in chosen]
    labels = torch.from_numpy(np.unique(names, return_inverse=True)[1])
    whitening = Whitening(2 * NUM_BANDS)
    whitening.fit(torch.from_numpy(_statistics(dump, chosen, lowpass_hz, channels)), labels, SHRINKAGE)
    return whitening


def _evenly_spaced(total: int, most: int) -> list[int]:
    return np.unique(np.linspace(0, total - 1, most).astype(int)).tolist()


def _statistics(
    dump: DumpSet, indices: list[int], lowpass_hz: float, channels: AcrossChannels | None
) -> np.ndarray:
    """Statistics ``[len(indices), 80]`` of whole utterances: the average over their windows."""
    rows = []
    for index in indices:
        wave = dump.read(index)
        if lowpass_hz:
            wave = lowpass(wave, lowpass_hz)
        if channels is not None:
            wave = channels(wave, dump.utterances[index])
        windows = utterance_windows(wave, LogMelControl.window, "whole")
        rows.append(log_mel_statistics(windows).mean(axis=0))
    return np.stack(rows)


def log_mel_statistics(waves: np.ndarray, sample_rate: int = 16000) -> np.ndarray:
    """Mean over time, then standard deviation, of 40 log-mel bands: waves ``(B, N)`` → float32 ``(B, 80)``.

    Frames of 25 ms under a Hann window every 10 ms; natural logarithm of the energies, floored 80 dB under
    the strongest of each wave. A factor on a wave adds its logarithm to the means and changes nothing else. N
    is at least 400.
    """
    frames = np.lib.stride_tricks.sliding_window_view(waves.astype(np.float32), FRAME, axis=1)[:, ::HOP]
    spectrum = rfft(frames * np.hanning(FRAME + 1)[:-1].astype(np.float32), FFT, axis=2)
    power = spectrum.real**2 + spectrum.imag**2
    energy = power @ mel_bands(NUM_BANDS, FFT, sample_rate).T.astype(np.float32)
    peak = energy.max(axis=(1, 2), keepdims=True)
    # A wave of zeros has no peak: its energies are floored as if it were 1.
    floor = np.where(peak > 0, peak, 1) * np.float32(10 ** (-FLOOR_DB / 10))
    logs = np.log(np.maximum(energy, floor))
    return np.concatenate([logs.mean(axis=1), logs.std(axis=1)], axis=1)


@lru_cache(maxsize=4)
def mel_bands(num_bands: int, fft: int, sample_rate: int) -> np.ndarray:
    """Triangular filters of peak 1, ``[num_bands, fft // 2 + 1]``.

    They are equally wide on the mel scale 2595·log10(1 + f/700) from 0 Hz to half the sample rate.
    """
    edges = mel_centres(num_bands, 0, sample_rate / 2)
    frequencies = np.fft.rfftfreq(fft, 1 / sample_rate)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequencies - low) / (centre - low), (high - frequencies) / (high - centre)
    return np.clip(np.minimum(rising, falling), 0, None)
