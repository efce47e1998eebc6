"""One channel at one rate: what everything after the dump works on."""

from __future__ import annotations

import numpy as np
import soxr

from svmixer.audio.errors import AudioError

NO_CHANNEL = "no such channel"
# A damaged header may claim any rate. At 1 Hz a megabyte would become sixteen gigabytes.
_RATES = range(1000, 1_000_001)


def pick_channel(wave: np.ndarray, channel: int | None, what: str) -> np.ndarray:
    """One channel, or all of them.

    Args:
        wave: np.float32 [C, N].
        channel: which one, from 0; None: all.
        what: what ``wave`` is, for the error ("the recording").

    Returns:
        np.float32 [1, N]; with None ``wave`` itself.

    Raises:
        AudioError: ``no such channel``.
    """
    if channel is None:
        return wave
    if not 0 <= channel < len(wave):
        count = "1 channel" if len(wave) == 1 else f"{len(wave)} channels"
        raise AudioError(NO_CHANNEL, f"channel {channel} (counted from 0), and {what} has {count}")
    return wave[channel : channel + 1]


def to_mono_16k(wave: np.ndarray, rate: int, rate_out: int = 16000) -> np.ndarray:
    """Average the channels and resample.

    Args:
        wave: np.float32 [C, N].
        rate: samples per second of ``wave``.
        rate_out: samples per second wanted.

    Returns:
        np.float32 [N · rate_out / rate], by soxr's high-quality band-limited interpolation; untouched at
        equal rates.

    Raises:
        AudioError: ``unreadable`` for a rate that no recording has: below 1 kHz or above 1 MHz.
    """
    if rate not in _RATES:
        raise AudioError("unreadable", f"sampling rate {rate}")
    mono = wave[0] if wave.shape[0] == 1 else wave.mean(axis=0, dtype=np.float32)
    if rate == rate_out:
        return np.ascontiguousarray(mono, dtype=np.float32)
    return soxr.resample(np.ascontiguousarray(mono, dtype=np.float32), rate, rate_out, quality="HQ")


def to_pcm16(wave: np.ndarray) -> np.ndarray:
    """np.float32 [N] in −1…1 to np.int16 [N]: rounded and clipped; no dither, dumps must repeat exactly."""
    return np.clip(np.rint(wave * np.float32(32768)), -32768, 32767).astype(np.int16)


def from_pcm16(pcm: np.ndarray) -> np.ndarray:
    """np.int16 to np.float32 in −1…1; :func:`to_pcm16` takes it back exactly."""
    return pcm.astype(np.float32) / np.float32(32768)
