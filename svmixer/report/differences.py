"""Paired differences of equal error rates: both systems are scored on the same draws of speakers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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


class Draws:
    """Figures of single results, each computed once, and the paired differences between them."""

    def __init__(self) -> None:
        self._figures: dict[tuple[Path, int, int], GroupFigures] = {}

    def difference(self, first: Result, second: Result) -> tuple[float, tuple[float, float] | None] | None:
        """First minus second, see :func:`difference`, on the draws that the first one's interval is from.

        None where they are not to be compared: another condition, trial list or protocol.
        """
        if _scored(first) != _scored(second):
            return None
        drawn = first.metrics["bootstrap"] or {"replicates": 1, "seed": 0}
        return difference(
            *(self._of(result, drawn["replicates"], drawn["seed"]) for result in (first, second))
        )

    def _of(self, result: Result, replicates: int, seed: int) -> GroupFigures:
        key = (result.directory, replicates, seed)
        if key not in self._figures:
            self._figures[key] = group_figures([result], replicates, seed)
        return self._figures[key]


def control_differences(results: Sequence[Result], draws: Draws) -> list[list[str]]:
    """Rows (set, what minus what, band, points with interval): the model minus the baseline and each control,
    under every condition that both were scored under with the same trials and protocol.
    """
    rows = []
    for model in (result for result in results if result.kind == MODEL and result.metrics["bootstrap"]):
        for other in results:
            found = draws.difference(model, other) if other.kind in (BASELINE, *CONTROLS) else None
            if found:
                names = f"{model.system} minus {other.system}"
                rows.append([model.metrics["set"], names, model.condition.name, with_interval(*found)])
    return rows


def _scored(result: Result) -> tuple[object, ...]:
    """What has to be the same in two results for their difference to be paired."""
    metrics = result.metrics
    return result.condition, metrics["trials_md5"], metrics["protocol"], metrics["num_crops"]
