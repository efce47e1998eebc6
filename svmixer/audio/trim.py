"""Leading and trailing silence by short-time energy."""

from __future__ import annotations

import numpy as np

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
    background = min(np.percentile(level, _NOISE_PERCENTILE) + _ABOVE_NOISE_DB, loudest - _NOISE_RANGE_DB)
    first, last = _long_runs(level > max(loudest - _RANGE_DB, _FLOOR_DB, background))
    if first is None:
        return 0, 0
    margin = round(_MARGIN * rate)
    return max(0, int(starts[first]) - margin), min(len(wave), int(starts[last]) + frame + margin)


def _long_runs(flags: np.ndarray) -> tuple[int | None, int | None]:
    """First and last index inside runs of at least ``_RUN`` true values; (None, None) without such a run."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    begins, ends = edges[::2], edges[1::2]
    long = ends - begins >= _RUN
    if not long.any():
        return None, None
    return int(begins[long][0]), int(ends[long][-1]) - 1
