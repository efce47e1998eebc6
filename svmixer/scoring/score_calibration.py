"""Calibration of anybody's scores: one log-likelihood ratio from the scores of one system or several (their
fusion) and quality measures, by logistic regression; and its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svmixer.config import from_dict, to_dict
from svmixer.errors import SvmixerError
from svmixer.fileio import read_json, write_json
from svmixer.inference.calibration import OperatingPoint
from svmixer.scoring.calibrate import FEWEST, share_threshold
from svmixer.scoring.calibration import cross_validated_ratios
from svmixer.scoring.likelihood_ratio import actual_dcf, cllr, min_cllr
from svmixer.scoring.logistic import logistic_regression
from svmixer.scoring.metrics import equal_error_rate, error_rates, min_dcf


@dataclass(frozen=True)
class ScoreCalibration:
    """Log-likelihood ratio = ``slopes`` · scores + ``measures`` · their values + ``offset``."""

    # Of the score files, in their order.
    slopes: tuple[float, ...]
    # Name of a quality measure, as ``utt2dur:log_min`` → its weight, in their order.
    measures: dict[str, float]
    offset: float
    # Share of false accepts that is kept → the ratio to accept from, and the shares measured there.
    false_accepts: dict[str, OperatingPoint]
    # Prior of target trials → the ratio at which both errors of cost 1 cost the least, and the shares there.
    p_target: dict[str, OperatingPoint]
    # What it was fitted on.
    trials: int
    targets: int
    # Speakers of the trials; None: not known, so that it was measured on the trials that it was fitted on.
    speakers: int | None

    def __post_init__(self) -> None:
        if not self.slopes:
            raise ValueError("slopes: one at least")

    def ratios(self, scores: np.ndarray, terms: np.ndarray) -> np.ndarray:
        """Log-likelihood ratios ``(N,)`` of scores ``(N, K)`` and values of the measures ``(N, M)``.

        Raises:
            SvmixerError: another number of systems or measures than it was fitted with.
        """
        if scores.shape[1] != len(self.slopes) or terms.shape[1] != len(self.measures):
            raise SvmixerError(
                f"the calibration is for {len(self.slopes)} score files and {len(self.measures)} measures, "
                f"found {scores.shape[1]} and {terms.shape[1]}"
            )
        weights = np.array([*self.slopes, *self.measures.values()])
        return np.column_stack([scores, terms]) @ weights + self.offset


def fit_calibration(
    scores: np.ndarray,
    labels: np.ndarray,
    speakers: np.ndarray | None,
    shares: Sequence[float],
    priors: Sequence[float],
    measures: dict[str, np.ndarray] | None = None,
) -> tuple[ScoreCalibration, np.ndarray]:
    """The calibration of labelled trials, and ratios ``(N,)`` that say how good it is.

    Args:
        scores: ``(N, K)``, of K systems.
        labels: ``(N,)``, 1 = target, 0 = non-target.
        speakers: ``(N, 2)`` of each trial, None if not known.
        shares: of false accepts, for thresholds; those that the trials are too few for are left out.
        priors: of target trials, for thresholds.
        measures: name → values ``(N,)``.

    Returns:
        The calibration is fitted on all trials. The ratio of each trial is by a map that was fitted without
        its two speakers. Where speakers are not known or too few (``speakers`` of the calibration is then
        None), it is by the calibration itself.

    Raises:
        SvmixerError: see :func:`svmixer.scoring.logistic.logistic_regression`.
    """
    measures, targets = measures or {}, np.asarray(labels) == 1
    terms = np.column_stack([scores, *measures.values()])
    *weights, offset = logistic_regression(terms, targets, np.ones(len(terms))).tolist()
    final = terms @ np.array(weights) + offset
    held_out = None if speakers is None else cross_validated_ratios(terms, labels, speakers)
    ratios = final if held_out is None else held_out
    count = np.count_nonzero(~targets)
    kept = [share for share in shares if share * count >= FEWEST]
    calibration = ScoreCalibration(
        slopes=tuple(weights[: scores.shape[1]]),
        measures=dict(zip(measures, weights[scores.shape[1] :], strict=True)),
        offset=offset,
        false_accepts={
            f"{share:g}": _point(ratios, targets, share_threshold(final[~targets], share)) for share in kept
        },
        p_target={f"{prior:g}": _point(ratios, targets, float(np.log(1 / prior - 1))) for prior in priors},
        trials=len(terms),
        targets=int(targets.sum()),
        speakers=None if held_out is None else len(np.unique(speakers)),
    )
    return calibration, ratios


def _point(ratios: np.ndarray, targets: np.ndarray, threshold: float) -> OperatingPoint:
    accepted = ratios >= threshold
    return OperatingPoint(threshold, float(accepted[~targets].mean()), float(1 - accepted[targets].mean()))


def ratio_figures(ratios: np.ndarray, labels: np.ndarray, priors: Sequence[float]) -> dict[str, object]:
    """Figures of scores ``(N,)`` taken for log-likelihood ratios: EER in percent, costs.

    Raises:
        SvmixerError: see :func:`svmixer.scoring.metrics.check_scores`.
    """
    rates = error_rates(ratios, labels)
    return {
        "eer": 100 * equal_error_rate(rates)[0],
        "cllr": cllr(ratios, labels),
        "min_cllr": min_cllr(ratios, labels),
        "act_dcf": {f"{prior:g}": actual_dcf(ratios, labels, prior) for prior in priors},
        "min_dcf": {f"{prior:g}": min_dcf(rates, prior) for prior in priors},
    }


def save_calibration(calibration: ScoreCalibration, path: str | Path) -> None:
    """Write ``calibration.json``."""
    write_json(path, to_dict(calibration))


def load_calibration(path: str | Path) -> ScoreCalibration:
    """Read what :func:`save_calibration` wrote.

    Raises:
        SvmixerError: no such file, or another content.
    """
    try:
        content = read_json(path)
    except FileNotFoundError:
        raise SvmixerError(f"{path}: there is no such file") from None
    except ValueError as error:
        raise SvmixerError(f"{path}: no calibration: {error}") from None
    return from_dict(ScoreCalibration, content, str(path))
