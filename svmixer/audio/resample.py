"""One channel at one rate: what everything after the dump works on."""

from __future__ import annotations

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
