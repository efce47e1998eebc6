"""One crop of an utterance: the reading that every training set shares."""

from __future__ import annotations

import numpy as np

from svmixer.audio.dumpset import DumpSet

GRID = 320  # samples between frames of the front end (20 ms)


def read_crop(dump: DumpSet, index: int, samples: int, rng: np.random.Generator) -> np.ndarray:
    """A random crop of ``samples`` samples, starting on the 20 ms grid; only its bytes are read.

    An utterance shorter than the crop is repeated until it fills it.

    Returns:
        (samples,) float32.
    """
    total = int(dump.num_samples[index])
    if total <= samples:
        whole = dump.read(index)
        return np.tile(whole, -(-samples // total))[:samples]
    start = int(rng.integers((total - samples) // GRID + 1)) * GRID
    return dump.read(index, start, samples)
