"""Enrolment of a speaker from recordings, and the decision whether another one is of that speaker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from svmixer.audio.quality import Quality, together
from svmixer.errors import SvmixerError
from svmixer.inference.calibration import (
    STANDARD,
    Calibration,
    is_telephone,
    parse_share,
    probability,
    telephone_sides,
)
from svmixer.inference.utterance import unit_length

# Cosines nearer to the threshold than this change sides with the next recording of the same two people.
CLOSE = 0.05


@dataclass(frozen=True)
class Rule:
    """How a score becomes a decision.

    Raises:
        SvmixerError: a threshold, share or prior that is none.
    """

    # Name of one of the model's operating points.
    operating_point: str = STANDARD
    # Share of different speakers that may be accepted, in place of the name: 0.001, or "0.1%".
    max_false_accepts: float | str | None = None
    # Probability of one speaker before the recordings were heard.
    prior: float = 0.5
    # Cosine from which on it is one speaker, in place of the model's calibration.
    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None:
            check_threshold(self.threshold)
        _ = self.share
        probability(0.0, self.prior)

    @property
    def share(self) -> float | None:
        """``max_false_accepts`` as a number."""
        return None if self.max_false_accepts is None else parse_share(self.max_false_accepts)

    @property
    def is_default(self) -> bool:
        """Whether no operating point was asked for."""
        return self.operating_point == STANDARD and self.max_false_accepts is None


@dataclass(frozen=True)
class Verdict:
    """The outcome of a verification; true if it is one speaker and that is certain."""

    score: float  # cosine, −1 … 1
    threshold: float  # for the log-likelihood ratio if there is one, else for the cosine
    same: bool  # whether the ratio, or without one the cosine, reaches the threshold
    doubts: tuple[str, ...] = ()  # why not to rely on it; none: nothing speaks against it
    # Of the decision: the recordings are unlike those that the model was calibrated with.
    uncertain: bool = False
    # Of a model with a calibration: log-likelihood ratio (natural logarithm), and the probability of one
    # speaker at the prior.
    ratio: float | None = None
    probability: float | None = None
    prior: float | None = None

    @property
    def decision(self) -> str:
        """``one speaker``, ``two speakers`` or ``uncertain``."""
        if self.uncertain:
            return "uncertain"
        return "one speaker" if self.same else "two speakers"

    def __bool__(self) -> bool:
        return self.same and not self.uncertain


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
    score = cosine(enrolled, embedding)
    if abs(score - threshold) < CLOSE:
        doubts = (*doubts, f"{abs(score - threshold):.4f} from the threshold")
    return Verdict(score, threshold, score >= threshold, tuple(doubts))


def verify_calibrated(
    calibration: Calibration,
    enrolled: np.ndarray,
    embedding: np.ndarray,
    qualities: tuple[Sequence[Quality], Sequence[Quality]] = ((), ()),
    *,
    rule: Rule | None = None,
    doubts: Sequence[str] = (),
) -> Verdict:
    """As :func:`verify`, by a log-likelihood ratio and the threshold of an operating point.

    Args:
        calibration: of the model that the embeddings ``(D,)`` are by.
        enrolled, embedding: see :func:`verify`.
        qualities: of the recordings enrolled and of the other one; of what is not known, none. Whether a side
            comes through a telephone is then taken to be as for the other.
        rule: the operating point and the prior; its cosine threshold is not looked at.
        doubts: what else is known against the recordings.

    Raises:
        ValueError: as :func:`verify`; no such operating point, or a share that is none.
    """
    rule = rule or Rule()
    score = cosine(enrolled, embedding)
    sides = [together(side) if side else None for side in qualities]
    outside = [
        f"{name}: {doubt}"
        for name, side in zip(("enrolment", "test"), sides, strict=True)
        if side is not None
        for doubt in calibration.limits.doubts(side)
    ]
    flags = (np.nan if side is None else is_telephone(side) for side in sides)
    number = int(telephone_sides(*map(np.float64, flags)))
    found, fits = calibration.map_for(number)
    if not fits:
        outside.append("telephone band, which this model is not calibrated for")
    ratio = calibration.ratio(enrolled, embedding, number)
    most = rule.share
    point = found.point(rule.operating_point) if most is None else found.at_most(most)
    if 0.0 < ratio < point.ratio:
        doubts = (*doubts, "more likely one speaker, but not enough for this operating point")
    return Verdict(
        score, point.ratio, ratio >= point.ratio, (*outside, *doubts), bool(outside), ratio,
        probability(ratio, rule.prior), rule.prior,
    )  # fmt: skip


def cosine(enrolled: np.ndarray, embedding: np.ndarray) -> float:
    """Of two embeddings ``(D,)``.

    Raises:
        ValueError: of different sizes, not finite or zero.
    """
    if np.ndim(enrolled) != 1 or np.ndim(embedding) != 1:
        raise SvmixerError(f"expected embeddings (D,), found {np.shape(enrolled)} and {np.shape(embedding)}")
    if np.shape(enrolled) != np.shape(embedding):
        raise SvmixerError(f"embeddings of different sizes: {np.shape(enrolled)} and {np.shape(embedding)}")
    return float(np.clip(unit_length(_finite(enrolled)) @ unit_length(_finite(embedding)), -1.0, 1.0))


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
