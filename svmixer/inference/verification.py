"""Enrolment of a speaker from recordings, and the decision whether another one is of that speaker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from svmixer.errors import SvmixerError
from svmixer.inference.utterance import unit_length

# Cosines nearer to the threshold than this change sides with the next recording of the same two people.
CLOSE = 0.05


@dataclass(frozen=True)
class Verdict:
    """The outcome of a verification; true if it is one speaker."""

    score: float  # cosine, −1 … 1
    threshold: float
    same: bool  # whether score ≥ threshold
    doubts: tuple[str, ...] = ()  # why not to rely on it; none: nothing speaks against it

    def __bool__(self) -> bool:
        return self.same


def enrol(embeddings: Sequence[np.ndarray]) -> np.ndarray:
    """One embedding ``float32 (D,)`` of unit length for a speaker, from those of several recordings ``(D,)``.

    Raises:
        ValueError: no embeddings, of different sizes, or not finite.
    """
    embeddings = list(embeddings)
    if not embeddings:
        raise SvmixerError("a speaker is enrolled from one recording at least")
    if any(np.ndim(embedding) != 1 for embedding in embeddings):
        raise SvmixerError("expected a list of embeddings, each of shape (D,)")
    sizes = {np.shape(embedding) for embedding in embeddings}
    if len(sizes) > 1:
        raise SvmixerError(f"embeddings of different sizes: {sorted(sizes)}")
    return unit_length(unit_length(_finite(np.stack(embeddings))).mean(axis=0)).astype(np.float32)


def verify(
    enrolled: np.ndarray, embedding: np.ndarray, threshold: float, doubts: Sequence[str] = ()
) -> Verdict:
    """Compare an enrolled speaker with the embedding ``(D,)`` of another recording.

    Args:
        enrolled: from :func:`enrol`, or one recording's embedding.
        embedding: of the other recording.
        threshold: cosine from which on they count as one speaker.
        doubts: what is known against the recordings; a score close to the threshold adds its own.

    Raises:
        ValueError: embeddings of different sizes, not finite or zero, or a threshold that is no cosine.
    """
    check_threshold(threshold)
    if np.ndim(enrolled) != 1 or np.ndim(embedding) != 1:
        raise SvmixerError(f"expected embeddings (D,), found {np.shape(enrolled)} and {np.shape(embedding)}")
    if np.shape(enrolled) != np.shape(embedding):
        raise SvmixerError(f"embeddings of different sizes: {np.shape(enrolled)} and {np.shape(embedding)}")
    score = float(np.clip(unit_length(_finite(enrolled)) @ unit_length(_finite(embedding)), -1.0, 1.0))
    if abs(score - threshold) < CLOSE:
        doubts = (*doubts, f"{abs(score - threshold):.4f} from the threshold")
    return Verdict(score, threshold, score >= threshold, tuple(doubts))


def check_threshold(threshold: float) -> None:
    """Refuse what no cosine can be compared with.

    Raises:
        ValueError: not a number from −1 to 1.
    """
    if not -1.0 <= threshold <= 1.0:
        raise SvmixerError(f"threshold: a cosine from -1 to 1, found {threshold}")


def _finite(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, dtype=np.float32)
    if not np.isfinite(vectors).all() or not np.any(vectors, axis=-1).all():
        raise SvmixerError("an embedding that is zero or not finite cannot be compared")
    return vectors
