"""Logistic regression: log-likelihood ratios that are known, another program's, and separated classes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from svmixer.errors import SvmixerError
from svmixer.scoring.logistic import logistic_regression


def fit(scores: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Scale and offset, all trials weighing the same."""
    scale, offset = logistic_regression(scores[:, None], labels == 1, np.ones(len(scores)))
    return float(scale), float(offset)


def test_ratios_of_two_gaussians():
    """N(1, ½²) against N(-1, ½²): the logarithm of the ratio is 8x, whatever the classes' numbers are."""
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(1, 0.5, 50_000), rng.normal(-1, 0.5, 200_000)])
    scale, offset = fit(scores, np.repeat([1, 0], [50_000, 200_000]))
    assert scale == pytest.approx(8.0, rel=0.04) and offset == pytest.approx(0.0, abs=0.08)


def test_the_same_as_another_program():
    """Overlapping scores, classes of one size: Platt's aims are all but 1 and 0 then."""
    rng = np.random.default_rng(3)
    scores = np.concatenate([rng.normal(0.3, 0.2, 20_000), rng.normal(0, 0.2, 20_000)])
    labels = np.repeat([1, 0], 20_000)
    other = LogisticRegression(C=np.inf, tol=1e-8).fit(scores[:, None], labels)
    expected = float(other.coef_[0, 0]), float(other.intercept_[0])
    assert fit(scores, labels) == pytest.approx(expected, abs=5e-3)


def test_separated_classes_stay_finite():
    """Two scores, 3 targets and 3 others: σ(ratio) is Platt's aim, 4 / 5 and 1 / 5."""
    scale, offset = fit(np.repeat([2.0, 4.0], 3), np.repeat([0, 1], 3))
    assert scale * 4 + offset == pytest.approx(math.log(4), abs=1e-4)
    assert scale * 2 + offset == pytest.approx(-math.log(4), abs=1e-4)


def test_what_cannot_be_fitted():
    for scores, labels, what in (
        (np.arange(3.0), np.ones(3), "target and non-target"),
        (np.array([1.0, np.nan]), np.array([0, 1]), "finite"),
        (np.ones(4), np.array([0, 1, 0, 1]), "that differ"),
        # The deviation of these is not 0 in floats.
        (np.full(300, np.log(3.3)), np.arange(300) % 2, "that differ"),
    ):
        with pytest.raises(SvmixerError, match=what):
            fit(scores, labels)
