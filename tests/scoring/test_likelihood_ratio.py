"""Costs of log-likelihood ratios, by hand and against other implementations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import log_loss

from svmixer.errors import SvmixerError
from svmixer.scoring.likelihood_ratio import actual_dcf, cllr, min_cllr
from svmixer.scoring.metrics import error_rates, min_dcf

SCORES = np.array([2.0, 0.5, -1.0, 0.5, -2.0])
LABELS = np.array([1, 1, 1, 0, 0])


def test_cllr_by_hand():
    bits = np.log2(1 + np.exp([-2.0, -0.5, 1.0])).mean() + np.log2(1 + np.exp([0.5, -2.0])).mean()
    assert cllr(SCORES, LABELS) == pytest.approx(bits / 2, abs=1e-12)
    # Ratios of 1 say nothing.
    assert cllr(np.zeros(5), LABELS) == pytest.approx(1.0)


def test_cllr_is_the_log_loss_at_equal_priors():
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 0], [300, 700])
    scores = rng.normal(labels * 3.0, 2.0)
    weights = np.where(labels == 1, 0.5 / 300, 0.5 / 700)
    expected = log_loss(labels, 1 / (1 + np.exp(-scores)), sample_weight=weights) / np.log(2)
    assert cllr(scores, labels) == pytest.approx(expected, abs=1e-9)


def test_min_cllr_by_hand():
    # Pools: {-2}: 0 of 1; {-1, 0.5, 0.5}: 2 of 3; {2}: 1 of 1. Prior odds 3 : 2: the middle ratio is 2 / 1.5.
    middle = 4 / 3
    bits = (2 * np.log2(1 + 1 / middle) / 3 + np.log2(1 + middle) / 2) / 2
    assert min_cllr(SCORES, LABELS) == pytest.approx(bits, abs=1e-12)
    assert min_cllr(np.array([1.0, 2.0, 3.0]), np.array([0, 0, 1])) == 0.0
    assert min_cllr(np.zeros(4), np.array([0, 1, 0, 1])) == pytest.approx(1.0)


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=60))
def test_min_cllr_is_that_of_scikit_learns_map_with_ties(trials):
    scores = np.array([score for score, _ in trials], dtype=float)
    labels = np.array([int(label) for _, label in trials])
    if labels.min() == labels.max():
        return
    posterior = IsotonicRegression(y_min=0, y_max=1).fit_transform(scores, labels)
    odds = labels.sum() / (1 - labels).sum()
    with np.errstate(divide="ignore"):
        ratios = posterior / (1 - posterior) / odds
        bits = np.log2(1 + 1 / ratios[labels == 1]).mean() + np.log2(1 + ratios[labels == 0]).mean()
    found = min_cllr(scores, labels)
    assert found == pytest.approx(bits / 2, abs=1e-6)
    # No map of the scores does better, and their order is all that counts.
    assert found <= cllr(scores, labels) + 1e-9
    assert min_cllr(np.exp(scores), labels) == pytest.approx(found, abs=1e-9)


def test_the_actual_cost_is_taken_at_the_bayes_threshold():
    # Prior 0.2: the threshold is log 4 = 1.386; of 3 targets 2 are missed, no other is accepted.
    assert actual_dcf(SCORES, LABELS, 0.2) == pytest.approx(0.2 * 2 / 3 / 0.2)
    # Prior 0.5: threshold 0; one target missed, one other accepted.
    assert actual_dcf(SCORES, LABELS, 0.5) == pytest.approx((0.5 / 3 + 0.5 / 2) / 0.5)
    for prior in (0.01, 0.2, 0.5):
        assert actual_dcf(SCORES, LABELS, prior) >= min_dcf(error_rates(SCORES, LABELS), prior)
    with pytest.raises(SvmixerError, match="p_target lies between 0 and 1, found 1"):
        actual_dcf(SCORES, LABELS, 1.0)
    with pytest.raises(SvmixerError, match="error rates need target and non-target trials"):
        cllr(SCORES, np.ones(5))
