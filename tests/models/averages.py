"""The average over an utterance's windows, as the pages describe it."""

from __future__ import annotations

import numpy as np

from svmixer.inference.utterance import unit_length


def combine(embeddings: np.ndarray, protocol: str) -> np.ndarray:
    """Embeddings ``(W, D)`` of windows, none of them silent, to the one ``(D,)`` of their utterance."""
    mean = unit_length(embeddings).mean(axis=0, dtype=np.float64)
    return (mean if protocol == "crops" else unit_length(mean)).astype(np.float32)
