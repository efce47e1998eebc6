"""Speed perturbation on the fly: pitch and tempo change together, which makes a new speaker."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import soxr


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
