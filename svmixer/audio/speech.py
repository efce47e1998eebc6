"""Where and how much speech there is in a recording, by its level alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

FRAME = 0.02  # seconds
RANGE_DB = 35.0  # speech lies within this distance of the loudest frame
FLOOR_DB = -60.0  # of full scale: nothing below is speech, however quiet the rest
NO_SPEECH = "nothing in it is louder than -60 dB of full scale"
# Speech has pauses and soft sounds; what changes less between its soft and loud frames is noise or a tone.
LEAST_CHANGE_DB = 3.0
_BLOCK = 30.0  # seconds that are read at once
LOWEST_DB, BINS = -120, 150  # a bin a decibel, up to 30 dB above full scale


class SpeechMeter:
    """Counts frames by their level while a recording is read; memory does not grow with its length.

    Args:
        rate: samples per second.
    """

    def __init__(self, rate: int) -> None:
        self.frame = round(FRAME * rate)
        self._counts = np.zeros(BINS, np.int64)

    def take(self, wave: np.ndarray) -> np.ndarray:
        """Count the frames of a piece ``float32 (n,)``, and return it."""
        self._counts += np.bincount(self._levels(wave), minlength=BINS)
        return wave

    def _levels(self, wave: np.ndarray) -> np.ndarray:
        """The bin of each frame ``int64 (n // frame,)``."""
        frames = wave[: len(wave) // self.frame * self.frame].reshape(-1, self.frame)
        # Without a constant offset, which is no sound.
        power = frames.var(axis=1)
        return np.clip(10 * np.log10(power + 1e-12) - LOWEST_DB, 0, BINS - 1).astype(np.int64)

    def flags(self, wave: np.ndarray) -> np.ndarray:
        """Which frames of a piece may be speech, ``bool (n // frame,)``, by all that has been counted."""
        return self._levels(wave) >= self._lowest()

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

    def level_range(self) -> float:
        """From the level that a tenth of all frames stay below to the one that a tenth exceed, dB."""
        return float(_quantile(self._counts, 0.9) - _quantile(self._counts, 0.1))

    def _lowest(self) -> int:
        """The first bin that counts as speech."""
        loudest = _quantile(self._counts, 1.0) + LOWEST_DB
        return round(max(loudest - RANGE_DB, FLOOR_DB)) - LOWEST_DB


def speech_frames(read: Callable[[int, int], np.ndarray], num_samples: int, rate: int) -> np.ndarray:
    """Which frames of :data:`FRAME` seconds of a recording may be speech, ``bool (F,)``.

    Args:
        read: (first sample, count) → ``float32 (count,)``; everything is read twice.
        num_samples: of the recording.
        rate: samples per second.
    """
    meter = SpeechMeter(rate)
    block = meter.frame * round(_BLOCK / FRAME)
    pieces = [(first, min(block, num_samples - first)) for first in range(0, num_samples, block)]
    for piece in pieces:
        meter.take(read(*piece))
    return np.concatenate([meter.flags(read(*piece)) for piece in pieces])


def _quantile(counts: np.ndarray, share: float) -> int:
    """The bin that holds this share of the counts together with those below it."""
    return int(np.searchsorted(np.cumsum(counts), share * counts.sum()))


_FRAME, _HOP = 0.025, 0.010  # seconds
_RANGE_DB = 35.0  # speech lies within this distance of the loudest stretch
_FLOOR_DB = -60.0  # of full scale: nothing below is speech, however quiet the rest
_NOISE_PERCENTILE, _ABOVE_NOISE_DB = 5.0, 9.0  # speech stands out of the quietest frames by this much …
_NOISE_RANGE_DB = 18.0  # … unless that would come closer than this to the loudest: there were no pauses then
_RUN = 5  # a shorter loud stretch (frames) is a click: one instant lies in up to three frames
_MARGIN = 0.1  # seconds kept on both sides: weak fricatives and decays


def trim_silence(wave: np.ndarray, rate: int) -> tuple[int, int]:
    """First sample of speech and the sample after its last.

    Frames of 25 ms every 10 ms count as speech when their energy is within 35 dB of the loudest five frames
    in a row, above −60 dB of full scale, and 9 dB above the background (the 5th percentile of the frames, but
    no closer than 18 dB to the loudest), in runs of five or more; 0.1 s is kept on both sides. Pauses inside
    stay.

    Args:
        wave: np.float32 (N,), −1…1.
        rate: samples per second.

    Returns:
        (start, end) with 0 ≤ start ≤ end ≤ N; (0, 0) when no speech is found, as in anything shorter than
        five frames (65 ms).
    """
    frame, hop = round(_FRAME * rate), round(_HOP * rate)
    if len(wave) < frame + (_RUN - 1) * hop:
        return 0, 0
    energy = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    starts = np.arange(0, len(wave) - frame + 1, hop)
    level = 10 * np.log10(np.maximum(energy[starts + frame] - energy[starts], 0) / frame + 1e-12)
    loudest = np.lib.stride_tricks.sliding_window_view(level, _RUN).min(axis=1).max()
    first, last = _long_runs(level > speech_level(level, loudest))
    if first is None:
        return 0, 0
    margin = round(_MARGIN * rate)
    return max(0, int(starts[first]) - margin), min(len(wave), int(starts[last]) + frame + margin)


def speech_level(level: np.ndarray, loudest: float, floor: float = FLOOR_DB) -> float:
    """What frames of speech are above, dB: 35 dB below the loudest, ``floor``, and 9 dB above the background.

    Args:
        level: of all frames ``(F,)``, dB of full scale. Their 5th percentile is the background, but no closer
            than 18 dB to the loudest.
        loudest: the level that counts as that.
        floor: nothing below is speech, dB of full scale.
    """
    background = np.percentile(level, _NOISE_PERCENTILE) + _ABOVE_NOISE_DB
    return float(max(loudest - _RANGE_DB, floor, min(background, loudest - _NOISE_RANGE_DB)))


def _long_runs(flags: np.ndarray) -> tuple[int | None, int | None]:
    """First and last index inside runs of at least ``_RUN`` true values; (None, None) without such a run."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    begins, ends = edges[::2], edges[1::2]
    long = ends - begins >= _RUN
    if not long.any():
        return None, None
    return int(begins[long][0]), int(ends[long][-1]) - 1
