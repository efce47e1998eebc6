"""One embedding for an utterance of any length: what validation, scoring, API and exported model share.

Nothing here needs torch: a model is a function from windows to their embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from svmixer.models.windows import Protocol, utterance_starts

# Windows that go through the model at once: bounds the memory that a long recording takes.
WINDOWS_AT_ONCE = 16


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Vectors ``(…, D)`` scaled to length one; zero stays zero."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32(1e-12))


def combine(embeddings: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Embeddings of an utterance's windows ``(W, D)`` → its one embedding ``(D,)``.

    ``crops``: the mean of the rows after each is scaled to unit length. The dot product of two such vectors
    is exactly the mean cosine over all pairs of their crops, the paper's score. ``whole`` and ``stream``: the
    same, scaled to unit length again.
    """
    mean = unit_length(embeddings).mean(axis=0)
    return mean if protocol == "crops" else unit_length(mean)


def embed_utterance(
    embed_windows: Callable[[np.ndarray], np.ndarray],
    wave: np.ndarray,
    window: int,
    protocol: Protocol = "crops",
    num_crops: int = 10,
) -> np.ndarray:
    """The embedding ``float32 (D,)`` of one utterance; see :func:`combine`.

    Args:
        embed_windows: windows ``float32 (W, window)`` → embeddings ``float32 (W, D)``; gets few at a time.
        wave: one channel ``(N,)`` at the model's rate.
        window: samples of a window.
        protocol: see :func:`svmixer.models.windows.utterance_starts`.
        num_crops: windows of the ``crops`` protocol.

    Raises:
        ValueError: empty waveform or other wrong input, see :func:`svmixer.models.windows.utterance_starts`;
            samples that are not finite.
    """
    wave = np.asarray(wave, dtype=np.float32)
    if not np.isfinite(wave).all():
        raise ValueError("the waveform has samples that are not finite (NaN or infinity)")
    parts = [embed_windows(batch) for batch in window_batches(wave, window, protocol, num_crops)]
    return combine(np.concatenate(parts), protocol)


def window_batches(
    wave: np.ndarray, window: int, protocol: Protocol = "crops", num_crops: int = 10
) -> Iterator[np.ndarray]:
    """The windows of one utterance ``(N,)``, as ``(W, window)`` of at most 16 at a time."""
    wave, starts = utterance_starts(wave, window, protocol, num_crops)
    for first in range(0, len(starts), WINDOWS_AT_ONCE):
        yield np.stack([wave[start : start + window] for start in starts[first : first + WINDOWS_AT_ONCE]])
