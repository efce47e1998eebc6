"""How much speech there is in a recording, by its level alone: it tells a sentence from next to nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

FRAME = 0.02  # seconds
RANGE_DB = 35.0  # speech lies within this distance of the loudest frame
FLOOR_DB = -60.0  # of full scale: nothing below is speech, however quiet the rest
# Speech has pauses and soft sounds; what changes less between its soft and loud frames is noise or a tone.
LEAST_CHANGE_DB = 3.0
_LOWEST_DB, _BINS = -120, 150  # a bin a decibel, up to 30 dB above full scale


class SpeechMeter:
    """Counts frames by their level while a recording is read; memory does not grow with its length.

    Args:
        rate: samples per second.
    """

    def __init__(self, rate: int) -> None:
        self.frame = round(FRAME * rate)
        self._counts = np.zeros(_BINS, np.int64)

    def take(self, wave: np.ndarray) -> np.ndarray:
        """Count the frames of a piece ``float32 (n,)``, and return it."""
        frames = wave[: len(wave) // self.frame * self.frame].reshape(-1, self.frame)
        # Without a constant offset, which is no sound.
        power = frames.var(axis=1)
        levels = np.clip(10 * np.log10(power + 1e-12) - _LOWEST_DB, 0, _BINS - 1).astype(np.int64)
        self._counts += np.bincount(levels, minlength=_BINS)
        return wave

    def reading(self, read: Callable[[int, int], np.ndarray]) -> Callable[[int, int], np.ndarray]:
        """``read``, with what it reads counted."""
        return lambda first, count: self.take(read(first, count))

    def share(self) -> float:
        """Share of the frames that may be speech; 0 if nothing rises above -60 dB of full scale."""
        total = self._counts.sum()
        return float(self._counts[self._lowest() :].sum() / total) if total else 0.0

    def steady(self) -> bool:
        """Whether the level of what may be speech hardly changes, as it does in noise and tones."""
        counts = self._counts[self._lowest() :]
        return bool(counts.sum()) and _quantile(counts, 0.9) - _quantile(counts, 0.1) < LEAST_CHANGE_DB

    def _lowest(self) -> int:
        """The first bin that counts as speech."""
        loudest = _quantile(self._counts, 1.0) + _LOWEST_DB
        return round(max(loudest - RANGE_DB, FLOOR_DB)) - _LOWEST_DB


def _quantile(counts: np.ndarray, share: float) -> int:
    """The bin that holds this share of the counts together with those below it."""
    return int(np.searchsorted(np.cumsum(counts), share * counts.sum()))
