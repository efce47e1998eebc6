"""Enrolment of a speaker from recordings, and the decision whether another one is of that speaker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from svmixer.models.utterance import unit_length


@dataclass(frozen=True)
class Verdict:
    """The outcome of a verification."""

    score: float  # cosine, −1 … 1
    threshold: float
    same: bool  # whether score ≥ threshold


def enrol(embeddings: Sequence[np.ndarray]) -> np.ndarray:
    """One embedding ``float32 (D,)`` of unit length for a speaker, from those of several recordings ``(D,)``.

    Raises:
        ValueError: no embeddings, or of different sizes.
    """
    if not embeddings:
        raise ValueError("a speaker is enrolled from one recording at least")
    sizes = {np.shape(embedding) for embedding in embeddings}
    if len(sizes) > 1:
        raise ValueError(f"embeddings of different sizes: {sorted(sizes)}")
    return unit_length(unit_length(np.stack(embeddings)).mean(axis=0)).astype(np.float32)


def verify(enrolled: np.ndarray, embedding: np.ndarray, threshold: float) -> Verdict:
    """Compare an enrolled speaker with the embedding ``(D,)`` of another recording.

    Raises:
        ValueError: embeddings of different sizes.
    """
    if np.shape(enrolled) != np.shape(embedding):
        raise ValueError(f"embeddings of different sizes: {np.shape(enrolled)} and {np.shape(embedding)}")
    score = float(unit_length(np.asarray(enrolled)) @ unit_length(np.asarray(embedding)))
    return Verdict(score, threshold, score >= threshold)
