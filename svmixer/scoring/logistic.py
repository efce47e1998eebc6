"""Logistic regression: the map from scores to log-likelihood ratios."""

from __future__ import annotations

import numpy as np

from svmixer.errors import SvmixerError


def logistic_regression(features: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Coefficients ``float64 (K + 1,)`` of log-likelihood ratios, linear in features; the offset is the last.

    The classes weigh half each, whatever the sums of their weights, so that the prior of the trials does not
    count. They aim at ``(n + 1) / (n + 2)`` in place of 1 (Platt, 1999), which keeps the coefficients finite
    where the features separate the classes.

    Args:
        features: ``(N, K)``.
        targets: bool ``(N,)``.
        weights: of the trials, positive ``(N,)``.

    Raises:
        SvmixerError: one class is absent, values are not finite, or a feature is the same in all trials.
    """
    from scipy.optimize import minimize

    features, targets = np.asarray(features, np.float64), np.asarray(targets, bool)
    if targets.all() or not targets.any():
        raise SvmixerError("calibration needs target and non-target trials")
    if not np.isfinite(features).all():
        raise SvmixerError("calibration needs finite scores")
    centre, width = features.mean(axis=0), features.std(axis=0)
    # Not by the deviation, which of equal numbers is often not quite 0.
    same = np.flatnonzero(np.ptp(features, axis=0) == 0)
    if len(same):
        raise SvmixerError(
            f"calibration needs scores that differ: score or measure {same[0] + 1} is the same in all trials"
        )
    columns = np.column_stack([(features - centre) / width, np.ones(len(features))])
    counts = np.array([np.count_nonzero(~targets), np.count_nonzero(targets)])
    of_class = targets.astype(np.int64)
    aims = np.array([1 / (counts[0] + 2), (counts[1] + 1) / (counts[1] + 2)])[of_class]
    shares = weights * (0.5 / np.bincount(of_class, weights))[of_class]

    def loss(coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        ratios = columns @ coefficients
        error = shares * (np.exp(-np.logaddexp(0.0, -ratios)) - aims)
        return float(shares @ (np.logaddexp(0.0, ratios) - aims * ratios)), error @ columns

    start = np.zeros(columns.shape[1])
    found = minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-8}).x
    slopes = found[:-1] / width
    return np.append(slopes, found[-1] - slopes @ centre)
