"""Calibration of scores: which speakers it may see, what it costs, and the reliability diagram."""

from __future__ import annotations

import numpy as np
import pytest

from svmixer.scoring.calibration import cross_validated_ratios, reliability
from svmixer.scoring.likelihood_ratio import cllr, min_cllr, pav_ratios
from svmixer.scoring.logistic import logistic_regression
from svmixer.scoring.metrics import error_rates, min_dcf, min_dcf_point


def gaussian_scores(targets: int, nontargets: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores N(1, 0.5²) of targets and N(-1, 0.5²) of the others: the true ratio is 8 · score."""
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.normal(1, 0.5, targets), rng.normal(-1, 0.5, nontargets)])
    return scores, np.repeat([1, 0], [targets, nontargets])


def test_no_trial_is_calibrated_on_its_own_speakers():
    """Moving the scores of one speaker's trials changes no map that these trials go through."""
    rng = np.random.default_rng(1)
    speakers = np.array([(a, b) for a in range(6) for b in range(a, 6)] * 8)
    labels = (speakers[:, 0] == speakers[:, 1]).astype(int)
    scores = labels + rng.normal(0, 0.7, len(labels))
    ratios = cross_validated_ratios(scores, labels, speakers, folds=6)
    touched = (speakers == 2).any(axis=1)
    moved = np.where(touched, scores + 5.0, scores)
    slopes = (cross_validated_ratios(moved, labels, speakers, folds=6) - ratios)[touched] / 5.0
    assert (slopes > 0).all()
    rows = np.flatnonzero(touched & (speakers.max(axis=1) == 2) & (speakers.min(axis=1) == 2))
    rest = ~touched
    scale, offset = logistic_regression(scores[rest, None], labels[rest], np.ones(rest.sum()))
    np.testing.assert_allclose(ratios[rows], scale * scores[rows] + offset)
    np.testing.assert_allclose(slopes[np.isin(np.flatnonzero(touched), rows)], scale)


def test_too_few_speakers():
    speakers = np.array([(0, 0), (1, 1), (0, 1), (0, 1)])
    assert cross_validated_ratios(np.arange(4.0), np.array([1, 1, 0, 0]), speakers) is None
    many = np.array([(a, b) for a in range(9) for b in range(a, 9)])
    same = (many[:, 0] == many[:, 1]).astype(int)
    assert cross_validated_ratios(np.zeros(len(many)), same, many) is None
    assert cross_validated_ratios(np.arange(45.0), same, many) is not None


def test_points_by_hand():
    """Ratios log 3 and -log 3: posteriors ¾ and ¼, in bins 3 and 1 of four."""
    ratios = np.log(3.0) * np.array([1, 1, 1, 1, -1, -1, -1, -1, -1, -1])
    labels = np.array([1, 1, 1, 0, 1, 0, 0, 0, 0, 0])
    found = reliability(ratios, labels, bins=4)
    np.testing.assert_allclose(found.predicted, [0.25, 0.75])
    # Weights: a target 1/8, another 1/12.
    np.testing.assert_allclose(found.observed, [(1 / 8) / (1 / 8 + 5 / 12), (3 / 8) / (3 / 8 + 1 / 12)])
    assert found.targets.tolist() == [1, 3] and found.nontargets.tolist() == [5, 1]


def test_calibrated_scores_cost_what_the_true_ratios_do():
    scores, labels = gaussian_scores(300, 2000)
    speakers = np.random.default_rng(0).integers(0, 40, (2300, 2))
    speakers[:300, 1] = speakers[:300, 0]
    ratios = cross_validated_ratios(scores, labels, speakers)
    assert cllr(ratios, labels) == pytest.approx(cllr(8 * scores, labels), abs=0.01)
    assert min_cllr(scores, labels) < cllr(ratios, labels) < cllr(scores, labels)


def test_ratios_by_pool_adjacent_violators():
    """Targets at 1 and 3, others at 0 and 2: the pair in the middle is pooled, its ratio is 0."""
    ratios = pav_ratios(np.array([1.0, 3.0, 0.0, 2.0]), np.array([1, 1, 0, 0]))
    np.testing.assert_allclose(ratios, [0.0, np.inf, -np.inf, 0.0], atol=1e-12)


def test_where_the_cost_is_lowest():
    rates = error_rates(np.array([0.9, 0.8, 0.3, 0.5, 0.2, 0.1]), np.array([1, 1, 1, 0, 0, 0]))
    point = min_dcf_point(rates, 0.05)
    assert rates.thresholds[point] == 0.8 and rates.false_alarm[point] == 0
    assert min_dcf(rates, 0.05) == pytest.approx(rates.miss[point])
