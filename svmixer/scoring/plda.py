"""PLDA: the two-covariance model of embeddings, fitted by EM, behind LDA and length normalisation.

An embedding is its speaker's mean plus a deviation, both Gaussian (Brümmer and de Villiers, Odyssey 2010);
the score of a trial is the log-likelihood ratio of one speaker against two. Length normalisation makes the
Gaussian assumption fit (Garcia-Romero and Espy-Wilson, Interspeech 2011).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from svmixer.errors import SvmixerError
from svmixer.inference.utterance import unit_length

# Passes of EM; on balanced data it starts where it ends.
PASSES = 20
# Least variance between speakers that EM starts from, in units of that within: from 0 it cannot rise.
_LEAST = 0.01


@dataclass(frozen=True, eq=False)
class TwoCovariance:
    """Mean ``(R,)`` and covariances ``(R, R)`` between speakers and within one, float64."""

    mean: np.ndarray
    between: np.ndarray
    within: np.ndarray


@dataclass(frozen=True, eq=False)
class Plda:
    """A fitted chain: unit length, centre, LDA, length, two-covariance model in its diagonal basis."""

    # Of the training embeddings at unit length (D,).
    centre: np.ndarray
    # Columns of LDA (D, R); None: all dimensions stay.
    lda: np.ndarray | None
    model: TwoCovariance
    # Maps what is left of the mean to a basis in which the covariance within speakers is the unit matrix and
    # that between them is diagonal: (R, R), and the diagonal (R,).
    basis: np.ndarray
    between: np.ndarray

    def project(self, embeddings: np.ndarray) -> np.ndarray:
        """Embeddings ``(N, D)`` → float64 ``(N, R)`` in the diagonal basis."""
        return (_shortened(embeddings, self.centre, self.lda) - self.model.mean) @ self.basis

    def sides(self, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vectors ``(N, R + 2)`` of embeddings ``(N, D)`` as enrolment and as test sides, whose dot products
        are the log-likelihood ratios.
        """
        vectors, psi = self.project(embeddings), self.between
        joint = 1 + 2 * psi
        # Of x and y in one dimension: psi·x·y / joint − psi²·(x² + y²) / (2·(1 + psi)·joint) + a constant.
        own = vectors**2 @ (-0.5 * psi**2 / ((1 + psi) * joint))
        constant = np.sum(np.log1p(psi) - 0.5 * np.log(joint))
        scaled, ones = vectors * np.sqrt(psi / joint), np.ones(len(vectors))
        return np.column_stack([scaled, own + constant, ones]), np.column_stack([scaled, ones, own])


def fit_plda(embeddings: np.ndarray, labels: np.ndarray, lda_dim: int = 0) -> Plda:
    """PLDA of training embeddings ``(N, D)`` with speakers 0 … S − 1 ``(N,)``.

    Args:
        embeddings: of any length.
        labels: of each embedding.
        lda_dim: dimensions R that LDA keeps; 0: all D of them, without LDA.

    Raises:
        SvmixerError: not more speakers than dimensions, too few utterances of a speaker, or more dimensions
            asked for than there are.
    """
    count, size = embeddings.shape
    speakers = int(labels.max()) + 1
    kept = lda_dim or size
    if kept > size:
        raise SvmixerError(f"LDA to {lda_dim} dimensions of embeddings that have {size}")
    if speakers <= kept:
        raise SvmixerError(
            f"PLDA of {kept} dimensions needs more than {kept} training speakers, found {speakers}; "
            f"take fewer dimensions, as plda:{max(1, (speakers - 1) // 2)}"
        )
    if count - speakers < size:
        raise SvmixerError(
            f"PLDA of embeddings of {size} numbers needs {size} training utterances more than speakers, "
            f"found {count} of {speakers} speakers"
        )
    units = unit_length(embeddings.astype(np.float64))
    centre = units.mean(axis=0)
    lda = _lda(units - centre, labels, lda_dim) if lda_dim else None
    model = fit_two_covariance(_shortened(embeddings, centre, lda), labels)
    basis, between = _diagonal(model)
    return Plda(centre, lda, model, basis, between)


def fit_two_covariance(vectors: np.ndarray, labels: np.ndarray, passes: int = PASSES) -> TwoCovariance:
    """The model of vectors ``(N, R)`` with speakers 0 … S − 1 ``(N,)``, by EM from moments.

    The likelihood falls with no pass. Where all speakers have equally many vectors, the moments are the
    maximum already, unless some variance between speakers would be negative.

    Raises:
        SvmixerError: the vectors of a speaker do not differ in some dimension.
    """
    vectors = vectors.astype(np.float64)
    counts = np.bincount(labels).astype(np.float64)
    means = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(means, labels, vectors)
    means /= counts[:, None]
    inner = vectors - means[labels]
    scatter = inner.T @ inner
    model = _moments(means, counts, scatter)
    for _ in range(passes):
        model = _pass(model, means, counts, scatter)
    return model


def _moments(means: np.ndarray, counts: np.ndarray, scatter: np.ndarray) -> TwoCovariance:
    """Where EM starts from speakers' means ``(S, R)``, their numbers of vectors and the scatter in them."""
    within = scatter / (counts.sum() - len(counts))
    mean = counts @ means / counts.sum()
    spread = means - mean
    between = spread.T @ spread / len(means) - within * np.mean(1 / counts)
    start = TwoCovariance(mean, between, within)
    basis, variances = _diagonal(start)
    back = np.linalg.inv(basis)
    return TwoCovariance(mean, (back.T * np.maximum(variances, _LEAST)) @ back, within)


def _pass(model: TwoCovariance, means: np.ndarray, counts: np.ndarray, scatter: np.ndarray) -> TwoCovariance:
    """One pass of EM."""
    shifts = np.empty_like(means)
    between = np.zeros_like(model.between)
    within = scatter.copy()
    # Speakers with equally many vectors share the covariance of what is not known of their means.
    for count in np.unique(counts):
        rows = counts == count
        gain = np.linalg.solve(model.between + model.within / count, model.between).T
        shifts[rows] = (means[rows] - model.mean) @ gain.T
        left = model.between - gain @ model.between
        between += np.count_nonzero(rows) * left
        within += count * np.count_nonzero(rows) * left
    mean = counts @ (means - shifts) / counts.sum()
    rest = means - mean - shifts
    between = (between + shifts.T @ shifts) / len(means)
    within = (within + (rest.T * counts) @ rest) / counts.sum()
    return TwoCovariance(mean, (between + between.T) / 2, (within + within.T) / 2)


def _diagonal(model: TwoCovariance) -> tuple[np.ndarray, np.ndarray]:
    """Columns ``(R, R)`` that make the covariance within speakers the unit matrix and that between them the
    diagonal ``(R,)``.
    """
    from scipy.linalg import eigh

    try:
        variances, basis = eigh(model.between, model.within)
    except np.linalg.LinAlgError:
        raise SvmixerError(
            "PLDA: embeddings of one speaker do not differ in some dimension; are utterances listed twice?"
        ) from None
    return basis, variances


def _lda(vectors: np.ndarray, labels: np.ndarray, kept: int) -> np.ndarray:
    """The columns ``(D, kept)`` along which speakers lie farthest apart beside their own scatter."""
    counts = np.bincount(labels)
    means = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(means, labels, vectors)
    means /= counts[:, None]
    inner = vectors - means[labels]
    within = inner.T @ inner / len(vectors)
    between = (means.T * counts) @ means / len(vectors)
    return _diagonal(TwoCovariance(np.zeros(0), between, within))[0][:, ::-1][:, :kept]


def _shortened(embeddings: np.ndarray, centre: np.ndarray, lda: np.ndarray | None) -> np.ndarray:
    """Embeddings ``(N, D)`` at unit length, centred, through LDA, and again of one length: ``(N, R)``."""
    vectors = unit_length(embeddings.astype(np.float64)) - centre
    if lda is not None:
        vectors = vectors @ lda
    return unit_length(vectors) * np.sqrt(vectors.shape[1])
