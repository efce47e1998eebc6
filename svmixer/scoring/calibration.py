"""Scores as log-likelihood ratios, by logistic regression on other speakers, and how reliable they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from svmixer.scoring.logistic import logistic_regression
from svmixer.scoring.metrics import check_scores


def cross_validated_ratios(
    scores: np.ndarray, labels: np.ndarray, speakers: np.ndarray, folds: int = 5, seed: int = 0
) -> np.ndarray | None:
    """Log-likelihood ratios ``(N,)``, each trial's by a map that was fitted without its two speakers.

    The speakers are divided at random. A trial between fold *i* and fold *j* is calibrated on all trials that
    have no speaker of either fold.

    Args:
        scores: ``(N,)``, or ``(N, K)`` where K terms make a ratio together, as scores of several systems.
        labels: ``(N,)``, 1 = target, 0 = non-target.
        speakers: ``(N, 2)`` indices from 0 of the two speakers of each trial.
        folds: parts that the speakers are divided into; as many as there are speakers, if they are fewer.
        seed: of the division.

    Returns:
        None where the speakers are too few: some part leaves no target or no non-target trial to fit on, or
        one value of a term alone.

    Raises:
        SvmixerError: see :func:`svmixer.scoring.metrics.check_scores`.
    """
    terms = np.asarray(scores, np.float64).reshape(len(scores), -1)
    _, targets = check_scores(terms[:, 0], labels)
    number = int(speakers.max()) + 1
    folds = min(folds, number)
    fold_of = np.random.default_rng(seed).permutation(number) % folds
    sides = np.sort(fold_of[speakers], axis=1)
    ratios = np.empty(len(terms))
    for first, second in np.unique(sides, axis=0):
        held_out = np.isin(sides, (first, second))
        rest = ~held_out.any(axis=1)
        if not targets[rest].any() or targets[rest].all() or not np.ptp(terms[rest], axis=0).all():
            return None
        *slopes, offset = logistic_regression(terms[rest], targets[rest], np.ones(rest.sum()))
        these = (sides == (first, second)).all(axis=1)
        ratios[these] = terms[these] @ np.array(slopes) + offset
    return ratios


@dataclass(frozen=True)
class Reliability:
    """Points of a reliability diagram at a target prior of ½: arrays of ``(B,)`` for the bins with trials."""

    # Mean posterior of a bin, by the ratios.
    predicted: np.ndarray
    # Share of targets in it, both classes weighing the same in all.
    observed: np.ndarray
    targets: np.ndarray
    nontargets: np.ndarray


def reliability(ratios: np.ndarray, labels: np.ndarray, bins: int = 10) -> Reliability:
    """Predicted and observed share of targets in equally wide bins of the posterior.

    Args:
        ratios: log-likelihood ratios ``(N,)``, natural logarithm.
        labels: ``(N,)``, 1 = target, 0 = non-target.
        bins: between 0 and 1; those without a trial are left out.

    Raises:
        SvmixerError: see :func:`svmixer.scoring.metrics.check_scores`.
    """
    ratios, targets = check_scores(ratios, labels)
    posterior = _logistic(ratios)
    of_bin = np.minimum((posterior * bins).astype(np.int64), bins - 1)
    counts = [np.bincount(of_bin[of_class], minlength=bins) for of_class in (~targets, targets)]
    weights = np.where(targets, 0.5 / targets.sum(), 0.5 / (~targets).sum())
    total = np.bincount(of_bin, weights, minlength=bins)
    held = total > 0
    return Reliability(
        predicted=np.bincount(of_bin, weights * posterior, minlength=bins)[held] / total[held],
        observed=np.bincount(of_bin, weights * targets, minlength=bins)[held] / total[held],
        targets=counts[1][held],
        nontargets=counts[0][held],
    )


def _logistic(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0.0, -x))
