"""Costs of log-likelihood ratios (natural logarithm), and the least that scores could cost."""

from __future__ import annotations

import numpy as np

from svmixer.errors import SvmixerError
from svmixer.scoring.metrics import check_scores


def cllr(scores: np.ndarray, labels: np.ndarray) -> float:
    """Cost of log-likelihood ratios ``(N,)`` in bits: 0 is perfect, ratios of 1 cost 1 (Brümmer and du Preez,
    2006).

    Raises:
        SvmixerError: see :func:`svmixer.scoring.metrics.check_scores`.
    """
    scores, targets = check_scores(scores, labels)
    return _cllr(scores[targets], scores[~targets])


def min_cllr(scores: np.ndarray, labels: np.ndarray) -> float:
    """The cost that the best non-falling map of the scores ``(N,)`` to log-likelihood ratios would leave, see
    :func:`pav_ratios`.

    Raises:
        SvmixerError: see :func:`svmixer.scoring.metrics.check_scores`.
    """
    ratios, targets = pav_ratios(scores, labels), np.asarray(labels).astype(bool)
    return _cllr(ratios[targets], ratios[~targets])


def pav_ratios(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Log-likelihood ratios ``(N,)`` by the best non-falling map of the scores ``(N,)``; some are infinite.

    The map is found with the labels, by pool-adjacent-violators; trials of one score get one ratio.

    Raises:
        SvmixerError: see :func:`svmixer.scoring.metrics.check_scores`.
    """
    from scipy.optimize import isotonic_regression

    scores, targets = check_scores(scores, labels)
    _, group, count = np.unique(scores, return_inverse=True, return_counts=True)
    share = np.bincount(group, weights=targets) / count
    posterior = isotonic_regression(share, weights=count.astype(np.float64)).x[group]
    prior = targets.mean()
    with np.errstate(divide="ignore"):
        return np.log(posterior) - np.log1p(-posterior) - np.log(prior / (1 - prior))


def actual_dcf(scores: np.ndarray, labels: np.ndarray, p_target: float) -> float:
    """Detection cost of log-likelihood ratios ``(N,)`` at the Bayes threshold of a prior, normalised like
    :func:`svmixer.scoring.metrics.min_dcf`.

    Raises:
        SvmixerError: ``p_target`` is not between 0 and 1; see :func:`svmixer.scoring.metrics.check_scores`.
    """
    if not 0 < p_target < 1:
        raise SvmixerError(f"p_target lies between 0 and 1, found {p_target}")
    scores, targets = check_scores(scores, labels)
    accepted = scores >= np.log((1 - p_target) / p_target)
    cost = p_target * (1 - accepted[targets].mean()) + (1 - p_target) * accepted[~targets].mean()
    return float(cost / min(p_target, 1 - p_target))


def _cllr(targets: np.ndarray, nontargets: np.ndarray) -> float:
    """Of ratios that may be infinite on the side that costs nothing."""
    missed, accepted = np.logaddexp(0, -targets).mean(), np.logaddexp(0, nontargets).mean()
    return float((missed + accepted) / 2 / np.log(2))
