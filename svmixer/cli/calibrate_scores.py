"""Log-likelihood ratios from scores: svmixer calibrate_scores SCORES... [--trials TRIALS]

Fits a logistic regression on labelled trials. Several score files of the same trials are fused to one ratio;
--measures adds quality measures of the two sides. With --utt2spk every trial is measured by a map that was
fitted without its speakers. --output_dir gets the calibrated `scores` and `calibration.json`, which --apply
takes to calibrate other score files of the same systems.

    svmixer calibrate_scores dev/scores --trials dev/trials --utt2spk dev/utt2spk --output_dir calibrated
    svmixer calibrate_scores eval/scores --apply calibrated/calibration.json --output_dir eval/calibrated
    svmixer calibrate_scores a/scores b/scores --trials dev/trials --measures "[dev/utt2dur:log_min]"

Exit status: 0 with figures; 1 when a file cannot be used; 2 for a command line that makes no sense.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svmixer.config import parse_args, to_dict
from svmixer.errors import UsageError
from svmixer.log import get_logger

if TYPE_CHECKING:
    import numpy as np

    from svmixer.scoring.score_calibration import ScoreCalibration
    from svmixer.scoring.score_file import ScoredTrials

logger = get_logger(__name__)
PLOTS = (".png", ".svg")


@dataclass(frozen=True)
class CalibrateScoresConfig:
    """Options of ``svmixer calibrate_scores``."""

    # Score files of the same trials, one a system; the name of this option may be left out.
    files: tuple[str, ...] = ()
    # Trial list, for score files without labels; their order is then its order.
    trials: str = ""
    # List 'utterance speaker' of all utterances: trials are measured by maps fitted without their speakers.
    utt2spk: str = ""
    # List 'model utterance1 utterance2 ...' of the models that the first names of trials are.
    enroll_map: str = ""
    # Quality measures FILE:FUNCTION, FILE having lines 'utterance value' and FUNCTION being min, max, mean or
    # difference of both sides, or log_min and so on, of the values' logarithms.
    measures: tuple[str, ...] = ()
    # Shares of false accepts that thresholds are given for.
    false_accepts: tuple[float, ...] = (0.05, 0.01, 0.001)
    # Priors of target trials, for thresholds and detection costs.
    p_target: tuple[float, ...] = (0.05, 0.01)
    # A calibration.json: nothing is fitted, the score files are calibrated with it.
    apply: str = ""
    # Where `scores` and `calibration.json` go; empty: figures alone.
    output_dir: str = ""
    # Reliability diagram, a name that ends in .png or .svg; empty: none.
    plot: str = ""
    # true: print a JSON object.
    json: bool = False

    def __post_init__(self) -> None:
        for name in ("false_accepts", "p_target"):
            wrong = next((p for p in getattr(self, name) if not 0 < p < 1), None)
            if wrong is not None:
                raise ValueError(f"{name}: lies between 0 and 1, found {wrong:g}")
        if self.plot and Path(self.plot).suffix not in PLOTS:
            raise ValueError(f"plot: a name that ends in {' or '.join(PLOTS)}, found {self.plot}")
        if self.apply and not self.output_dir:
            raise ValueError("apply: name an output_dir for the calibrated scores, too")


def main(argv: list[str] | None = None) -> None:
    """Print the figures and write what was asked for; a file that cannot be used ends with status 1."""
    config = parse_args(CalibrateScoresConfig, argv, __doc__)
    if not config.files:
        raise UsageError("expected svmixer calibrate_scores SCORES..., found no score file")
    from svmixer.scoring.score_calibration import load_calibration, save_calibration
    from svmixer.scoring.score_file import read_scored_trials

    scored = read_scored_trials(config.files, config.trials)
    if config.plot and scored.labels is None:
        raise UsageError("plot: a reliability diagram needs labels: name the trial list, --trials FILE")
    terms = _measures(config, scored)
    if config.apply:
        calibration = load_calibration(config.apply)
        _check_measures(config, calibration, terms)
        ratios = calibration.ratios(scored.scores, _columns(terms, len(scored.scores)))
    else:
        calibration, ratios = _fit(config, scored, terms)
    figures = _figures(config, scored, ratios)
    if config.output_dir:
        _write_scores(Path(config.output_dir) / "scores", scored, ratios)
        if not config.apply:
            save_calibration(calibration, Path(config.output_dir) / "calibration.json")
    if config.plot:
        _plot(config, scored, ratios)
    if config.json:
        print(json.dumps({"calibration": to_dict(calibration), **figures}))
        return
    lines = rows(calibration, figures) if not config.apply else figure_rows(figures)
    for name, value in [("trials", _count(scored)), *lines]:
        print(f"{name:30} {value}")


def _measures(config: CalibrateScoresConfig, scored: ScoredTrials) -> dict[str, np.ndarray]:
    """Name → values ``(N,)``."""
    from svmixer.lists import read_enroll_map
    from svmixer.scoring.measures import measure_terms, parse_measure

    measures = [parse_measure(text) for text in config.measures]
    if not measures:
        return {}
    if scored.trials is None:
        raise UsageError(f"measures: {config.files[0]} has no names of utterances")
    names = [measure.name for measure in measures]
    if len(set(names)) < len(names):
        raise UsageError(f"measures: two of one name among {', '.join(names)}")
    models = read_enroll_map(config.enroll_map) if config.enroll_map else None
    return dict(zip(names, measure_terms(measures, scored.trials, models).T, strict=True))


def _columns(terms: dict[str, np.ndarray], trials: int) -> np.ndarray:
    import numpy as np

    return np.stack(list(terms.values()), axis=1) if terms else np.empty((trials, 0))


def _check_measures(
    config: CalibrateScoresConfig, calibration: ScoreCalibration, terms: dict[str, np.ndarray]
) -> None:
    if list(terms) != list(calibration.measures):
        wanted = ", ".join(calibration.measures) or "none"
        raise UsageError(f"measures: {config.apply} has {wanted}, found {', '.join(terms) or 'none'}")


def _fit(
    config: CalibrateScoresConfig, scored: ScoredTrials, terms: dict[str, np.ndarray]
) -> tuple[ScoreCalibration, np.ndarray]:
    from svmixer.scoring.result import trial_speakers
    from svmixer.scoring.score_calibration import fit_calibration

    if scored.labels is None:
        raise UsageError(f"{config.files[0]} has no labels: name the trial list, --trials FILE")
    speakers = None
    if config.utt2spk:
        if scored.trials is None:
            raise UsageError(f"utt2spk: {config.files[0]} has no names of utterances")
        speakers = trial_speakers(scored.trials, config.utt2spk, config.enroll_map or None)
        if speakers is None:
            raise UsageError(f"utt2spk: there is no file {config.utt2spk}")
    calibration, ratios = fit_calibration(
        scored.scores, scored.labels, speakers, config.false_accepts, config.p_target, terms
    )
    if calibration.speakers is None:
        why = "too few speakers" if config.utt2spk else "no --utt2spk"
        logger.warning("%s: measured on the trials that the calibration was fitted on", why)
    for share in config.false_accepts:
        if f"{share:g}" not in calibration.false_accepts:
            logger.warning("too few non-target trials for a threshold of %g %% false accepts", 100 * share)
    return calibration, ratios


def _figures(config: CalibrateScoresConfig, scored: ScoredTrials, ratios: np.ndarray) -> dict[str, Any]:
    """Costs before and after; empty without labels."""
    from svmixer.scoring.score_calibration import ratio_figures

    if scored.labels is None:
        return {}
    before = {
        path: ratio_figures(column, scored.labels, config.p_target)
        for path, column in zip(config.files, scored.scores.T, strict=True)
    }
    return {"before": before, "after": ratio_figures(ratios, scored.labels, config.p_target)}


def _write_scores(path: Path, scored: ScoredTrials, ratios: np.ndarray) -> None:
    from svmixer.fileio import atomic_write
    from svmixer.scoring.result import write_scores

    if scored.trials is not None:
        write_scores(path, scored.trials, ratios)
        return
    assert scored.labels is not None  # such a file has one or the other
    with atomic_write(path) as stream:
        stream.writelines(
            f"{r:.6f} {y}\n" for r, y in zip(ratios.tolist(), scored.labels.tolist(), strict=True)
        )


def _plot(config: CalibrateScoresConfig, scored: ScoredTrials, ratios: np.ndarray) -> None:
    from svmixer.report.plots import plot_reliability

    plot_reliability(ratios, scored.labels, config.plot)


def _count(scored: ScoredTrials) -> str:
    if scored.labels is None:
        return f"{len(scored.scores)}, without labels"
    return f"{len(scored.scores)}, {int(scored.labels.sum())} of them target"


def rows(calibration: ScoreCalibration, figures: dict[str, Any]) -> list[tuple[str, str]]:
    """What is printed of a new calibration: name, value."""
    measured = "the trials it was fitted on"
    if calibration.speakers is not None:
        measured = f"trials of speakers left out of the fit, {calibration.speakers} in all"
    slopes = " ".join(f"{slope:.4f}" for slope in calibration.slopes)
    lines = [("measured on", measured), ("slope", slopes)]
    lines += [(name, f"{weight:.4f}") for name, weight in calibration.measures.items()]
    lines += [("offset", f"{calibration.offset:.4f}"), *figure_rows(figures)]
    for kind, about in ((calibration.false_accepts, "false accepts"), (calibration.p_target, "prior")):
        for key, point in kind.items():
            errors = (
                f"false accepts {100 * point.false_accepts:.2f} %, rejects {100 * point.false_rejects:.2f} %"
            )
            lines.append((f"threshold, {about} {key}", f"{point.ratio:.4f}: {errors}"))
    return lines


def figure_rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """Costs of every score file and, last, of the calibrated scores."""
    if not figures:
        return []
    columns = [*figures["before"].values(), figures["after"]]

    def row(values: list[float]) -> str:
        *before, after = (f"{value:.4f}" for value in values)
        return f"{', '.join(before)} → {after}"

    lines = [("EER %", row([column["eer"] for column in columns]))]
    for key, name in (("cllr", "Cllr, bits"), ("min_cllr", "min Cllr, bits")):
        lines.append((name, row([column[key] for column in columns])))
    for key, name in (("act_dcf", "actDCF"), ("min_dcf", "minDCF")):
        for prior in columns[0][key]:
            lines.append((f"{name}({prior})", row([column[key][prior] for column in columns])))
    return lines
