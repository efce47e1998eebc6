"""Resampling: one channel at one rate, and other playing speeds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import soxr

from svmixer.audio.checks import check_rate


def to_mono_16k(wave: np.ndarray, rate: int, rate_out: int = 16000) -> np.ndarray:
    """Average the channels and resample.

    Args:
        wave: np.float32 (C, N).
        rate: samples per second of ``wave``.
        rate_out: samples per second wanted.

    Returns:
        np.float32 [N · rate_out / rate], by soxr's high-quality band-limited interpolation; untouched at
        equal rates.

    Raises:
        AudioError: ``bad rate``: one that no recording has.
    """
    check_rate(rate)
    mono = wave[0] if wave.shape[0] == 1 else wave.mean(axis=0, dtype=np.float32)
    if rate == rate_out:
        return np.ascontiguousarray(mono, dtype=np.float32)
    return soxr.resample(np.ascontiguousarray(mono, dtype=np.float32), rate, rate_out, quality="HQ")


class Resampler:
    """Pieces of one channel at one rate → pieces at another; together what the whole would give.

    Raises:
        AudioError: ``bad rate``.
    """

    def __init__(self, rate: int, rate_out: int) -> None:
        self._stream = None
        if check_rate(rate) != rate_out:
            self._stream = soxr.ResampleStream(rate, rate_out, 1, dtype="float32", quality="HQ")

    def __call__(self, wave: np.ndarray, last: bool) -> np.ndarray:
        """The next piece np.float32 (n,) → what is known behind it; after the ``last`` one, all."""
        return wave if self._stream is None else self._stream.resample_chunk(wave, last=last)


def to_pcm16(wave: np.ndarray) -> np.ndarray:
    """np.float32 (N,) in −1…1 to np.int16 (N,): rounded and clipped; no dither, dumps must repeat exactly."""
    return np.clip(np.rint(wave * np.float32(32768)), -32768, 32767).astype(np.int16)


def from_pcm16(pcm: np.ndarray) -> np.ndarray:
    """np.int16 to np.float32 in −1…1; :func:`to_pcm16` takes it back exactly."""
    return pcm.astype(np.float32) / np.float32(32768)


def source_samples(num: int, factor: float) -> int:
    """How many samples of a recording make ``num`` samples played ``factor`` times as fast.

    Raises:
        ValueError: the factor is not between 0.5 and 2.
    """
    if not 0.5 <= factor <= 2.0:
        raise ValueError(f"speed factor must be between 0.5 and 2, found {factor}")
    return round(num * factor)


def speed_perturb(read: Callable[[int, int], np.ndarray], start: int, num: int, factor: float) -> np.ndarray:
    """A crop of a recording played ``factor`` times as fast; frequencies go up by the same factor.

    Only the samples of the crop are read and resampled (soxr, high quality: 0.5 ms for 3 s).

    Args:
        read: (first sample, count) → np.float32 (count,) of the recording, as ``DumpSet.read`` gives it.
        start: the crop's first sample in the recording.
        num: samples to return.
        factor: 0.9 and 1.1 are usual; 1.0 returns what ``read`` gives.

    Returns:
        np.float32 [num].

    Raises:
        ValueError: the factor is not between 0.5 and 2.
    """
    count = source_samples(num, factor)
    wave = read(start, count)
    if factor == 1.0:
        return wave
    # The exact ratio of the two lengths, rather than the factor, gives exactly num samples.
    return soxr.resample(wave, count, num, quality="HQ")


def name_at_speed(name: str, factor: float) -> str:
    """What an utterance or speaker is called at another speed, as ``name#sp0.9``."""
    return name if factor == 1.0 else f"{name}#sp{factor:g}"
