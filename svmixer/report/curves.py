"""What the plots of scores show, as numbers: points of DET curves, operating points, histograms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from svmixer.scoring.metrics import P_TARGETS, ErrorRates, equal_error_rate, min_dcf, min_dcf_point

# Rates in percent that get a tick on DET axes.
DET_TICKS = (0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 40, 60, 80)
# Rates of 0 and 1 lie at infinity; they are drawn far outside the axes.
_FINEST = 1e-9


@dataclass(frozen=True)
class OperatingPoint:
    """One threshold of a system, and what it costs."""

    # ``EER``, ``minDCF(0.05)``.
    name: str
    # Score from which on trials are accepted; None: every trial is rejected.
    threshold: float | None
    # Fractions.
    miss: float
    false_alarm: float
    # The equal error rate in percent, or the normalised detection cost.
    value: float

    @property
    def at(self) -> str:
        """The threshold as text."""
        return "rejects all" if self.threshold is None else f"{self.threshold:.4f}"


def operating_points(rates: ErrorRates) -> list[OperatingPoint]:
    """Where the equal error rate lies, and the lowest detection cost for each prior that is reported."""
    eer, threshold = equal_error_rate(rates)
    points = [OperatingPoint("EER", threshold, eer, eer, 100 * eer)]
    for prior in P_TARGETS:
        at = min_dcf_point(rates, prior)
        threshold = float(rates.thresholds[at]) if at < len(rates.thresholds) - 1 else None
        errors = float(rates.miss[at]), float(rates.false_alarm[at])
        points.append(OperatingPoint(f"minDCF({prior:g})", threshold, *errors, min_dcf(rates, prior)))
    return points


def probit(rates: np.ndarray | float) -> np.ndarray:
    """Rates as standard deviations of the normal distribution, the scale of DET axes; 0 and 1 stay finite."""
    return ndtri(np.clip(rates, _FINEST, 1 - _FINEST))


def thinned(rates: ErrorRates, most: int = 300) -> ErrorRates:
    """At most ``most`` of the operating points, about evenly spaced along the DET curve, with the first and
    the last; what is left out lies between its neighbours.
    """
    steps = np.hypot(np.diff(probit(rates.miss)), np.diff(probit(rates.false_alarm)))
    along = np.concatenate(([0.0], np.cumsum(steps)))
    wanted = np.linspace(0, along[-1], most)
    kept = np.unique(np.searchsorted(along, wanted, side="left").clip(0, len(along) - 1))
    return ErrorRates(rates.thresholds[kept], rates.miss[kept], rates.false_alarm[kept])


def lowest_rate(labels: np.ndarray) -> float:
    """The smallest rate that DET axes for labels ``(N,)`` show: that of one error, at least 1 in 10,000."""
    return max(1 / max(np.count_nonzero(labels), np.count_nonzero(labels == 0)), 1e-4)


def det_ticks(lowest: float) -> tuple[list[float], list[str]]:
    """Places and texts of the ticks of DET axes that begin at a rate, a fraction."""
    ticks = [tick for tick in DET_TICKS if 100 * lowest <= tick <= 60]
    return probit(np.array(ticks) / 100).tolist(), [f"{tick:g}" for tick in ticks]


@dataclass(frozen=True)
class Histogram:
    """Densities of scores in equally wide bins: arrays of ``(B,)``."""

    centres: np.ndarray
    width: float
    targets: np.ndarray
    nontargets: np.ndarray


def histogram(scores: np.ndarray, labels: np.ndarray, bins: int = 50) -> Histogram:
    """Histograms of the scores ``(N,)`` of targets (label 1) and non-targets in the same bins, of area 1."""
    edges = np.histogram_bin_edges(scores, bins)
    of_class = [np.histogram(scores[labels == label], edges, density=True)[0] for label in (1, 0)]
    return Histogram((edges[1:] + edges[:-1]) / 2, float(edges[1] - edges[0]), *of_class)
