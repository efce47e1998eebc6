"""Scorers of embeddings: cosine, cosine after the mean of the training speech is taken off, PLDA."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from svmixer.errors import SvmixerError
from svmixer.inference.utterance import unit_length
from svmixer.lists import ListError, read_utt2spk
from svmixer.scoring.cohort import read_training
from svmixer.scoring.plda import Plda, fit_plda
from svmixer.scoring.vectors import EmbeddingError

COSINE = "cosine"


class Scorer(Protocol):
    """How pairs are scored: a score is the dot product of two vectors."""

    @property
    def name(self) -> str:
        """In tables and ``metrics.json``."""

    def sides(self, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of embeddings ``(N, D)`` as enrolment and as test sides."""


@dataclass(frozen=True)
class Cosine:
    """The embeddings as they are."""

    name: str = COSINE

    def sides(self, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Scorer`."""
        return embeddings, embeddings


@dataclass(frozen=True, eq=False)
class MeanSubtraction:
    """Cosine of unit-length embeddings less a mean ``(D,)``."""

    mean: np.ndarray
    name: str = "cosine, mean subtracted"

    def sides(self, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Scorer`."""
        vectors = unit_length(unit_length(embeddings.astype(np.float64)) - self.mean)
        return vectors, vectors


@dataclass(frozen=True, eq=False)
class PldaScorer:
    """Log-likelihood ratios of PLDA, not calibrated."""

    plda: Plda

    @property
    def name(self) -> str:
        """See :class:`Scorer`."""
        lda = self.plda.lda
        return "PLDA" if lda is None else f"PLDA, LDA to {lda.shape[1]}"

    def sides(self, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Scorer`."""
        return self.plda.sides(embeddings)


def parse_scoring(text: str) -> tuple[str, int]:
    """``cosine``, ``mean``, ``plda`` or ``plda:DIMENSIONS`` → its name and the dimensions that LDA keeps.

    Raises:
        ValueError: another word.
    """
    found = re.fullmatch(r"(cosine|mean|plda)|plda:([1-9][0-9]*)", text)
    if not found:
        raise ValueError(f"expected cosine, mean, plda or plda:DIMENSIONS, found '{text}'")
    return (found[1], 0) if found[1] else ("plda", int(found[2]))


def make_scorer(
    scoring: str, training_dir: str | Path, train_dir: str | Path, settings: dict[str, Any]
) -> Scorer:
    """The scorer by its name in options, see :func:`parse_scoring`.

    Args:
        scoring: its name in options.
        training_dir: the cohort's directory, with the embeddings of training speech.
        train_dir: dumped set that these are of, with ``utt2spk``.
        settings: that the trials' embeddings were made with.

    Raises:
        EmbeddingError: training embeddings are missing, do not belong to the trials' or are too few.
        ListError: an utterance has no speaker.
    """
    name, lda_dim = parse_scoring(scoring)
    if name == COSINE:
        return Cosine()
    names, vectors = read_training(training_dir, settings)
    if name == "mean":
        return MeanSubtraction(unit_length(vectors.astype(np.float64)).mean(axis=0))
    path = Path(train_dir) / "utt2spk"
    utt2spk = read_utt2spk(path)
    missing = next((utterance for utterance in names if utterance not in utt2spk), None)
    if missing is not None:
        raise ListError("no speaker", path=path, utterance=missing)
    labels = np.unique([utt2spk[utterance] for utterance in names], return_inverse=True)[1]
    try:
        return PldaScorer(fit_plda(vectors, labels, lda_dim))
    except SvmixerError as error:
        raise EmbeddingError(f"{train_dir}: {error}") from None
