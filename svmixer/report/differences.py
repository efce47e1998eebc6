"""Paired differences of equal error rates: both systems are scored on the same draws of speakers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from svmixer.report.results import BASELINE, CONTROLS, MODEL, Result
from svmixer.report.tables import with_interval
from svmixer.scoring.metrics import eer_replicates, percentile_interval


@dataclass(frozen=True)
class GroupFigures:
    """Equal error rates of one group under one condition, in percent."""

    # Of each run, in the order given.
    eers: np.ndarray
    # Of each bootstrap draw, averaged over the runs; NaN where the speakers are not known.
    replicates: np.ndarray

    @property
    def mean(self) -> float:
        """Mean over the runs."""
        return float(self.eers.mean())

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the mean over draws of speakers."""
        return percentile_interval(self.replicates)


def group_figures(results: Sequence[Result], replicates: int, seed: int) -> GroupFigures:
    """Figures of the runs of one group under one condition; the draws depend on the trial list and the seed
    alone.
    """
    draws = []
    for result in results:
        speakers = result.load_speakers()
        if speakers is None:
            draws.append(np.full(replicates, np.nan))
        else:
            draws.append(100 * eer_replicates(*result.load(), speakers, replicates, seed))
    return GroupFigures(np.array([r.metrics["eer"] for r in results]), np.mean(draws, axis=0))


def difference(first: GroupFigures, second: GroupFigures) -> tuple[float, tuple[float, float] | None]:
    """Mean of the first group minus mean of the second, in points, and its 95 % interval over paired draws of
    speakers.
    """
    return first.mean - second.mean, percentile_interval(first.replicates - second.replicates)


def control_differences(results: Sequence[Result]) -> list[list[str]]:
    """Rows (set, what minus what, band, points with interval): the model minus the baseline and each control,
    under every condition that both were scored under with the same trials and protocol.
    """
    rows = []
    for model in (result for result in results if result.kind == MODEL and result.metrics["bootstrap"]):
        drawn = model.metrics["bootstrap"]["replicates"], model.metrics["bootstrap"]["seed"]
        figures = None
        for other in results:
            if other.kind not in (BASELINE, *CONTROLS) or _scored(other) != _scored(model):
                continue
            figures = figures or group_figures([model], *drawn)
            points = with_interval(*difference(figures, group_figures([other], *drawn)))
            names = f"{model.system} minus {other.system}"
            rows.append([model.metrics["set"], names, model.condition.name, points])
    return rows


def _scored(result: Result) -> tuple[object, ...]:
    """What has to be the same in two results for their difference to be paired."""
    metrics = result.metrics
    return result.condition, metrics["trials_md5"], metrics["protocol"], metrics["num_crops"]
