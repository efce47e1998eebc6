"""Error rates of a score file: svmixer metrics SCORES [TRIALS] [--json true]

SCORES has lines 'utterance1 utterance2 score' (Kaldi, SpeechBrain, this project's stage 5), the same with a
label behind it (WeSpeaker) or in front of it, or 'score label'. TRIALS is a trial list of Kaldi's or
VoxCeleb's form, for scores without labels; lines may stand in any order.

    svmixer metrics exp/voices_compact/score/test/scores data/test/trials

Exit status: 0 with figures; 1 when a file cannot be used; 2 for a command line that makes no sense.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svmixer.config import parse_args
from svmixer.errors import UsageError
from svmixer.limits import at_least

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class MetricsConfig:
    """Options of ``svmixer metrics``."""

    # The score file and, if that has no labels, the trial list; the name of this option may be left out.
    files: tuple[str, ...] = ()
    # Priors of target trials for the detection costs.
    p_target: tuple[float, ...] = (0.05, 0.01)
    # true: the scores are log-likelihood ratios (natural logarithm): also Cllr and actual detection costs.
    llr: bool = False
    # List 'utterance speaker' of all utterances: also the EER's 95 % interval over speakers (with TRIALS).
    utt2spk: str = ""
    # Draws of speakers for the interval.
    replicates: int = 1000
    # Lists 'utterance value' (utt2sex, utt2lang …): also the error rates of the trials by the values of their
    # sides (with TRIALS).
    groups: tuple[str, ...] = ()
    # true: print a JSON object.
    json: bool = False

    def __post_init__(self) -> None:
        at_least(self, 1, "replicates")
        wrong = next((p for p in self.p_target if not 0 < p < 1), None)
        if wrong is not None:
            raise ValueError(f"p_target: a prior lies between 0 and 1, found {wrong:g}")


def main(argv: list[str] | None = None) -> None:
    """Print the figures; a file that cannot be used ends with one line and status 1."""
    config = parse_args(MetricsConfig, argv, __doc__)
    if not 1 <= len(config.files) <= 2:
        raise UsageError(f"expected svmixer metrics SCORES [TRIALS], found {len(config.files)} files")
    if config.utt2spk and len(config.files) < 2:
        raise UsageError("utt2spk: the interval needs a trial list, too: svmixer metrics SCORES TRIALS")
    if config.groups and len(config.files) < 2:
        raise UsageError("groups: they need a trial list, too: svmixer metrics SCORES TRIALS")
    figures = compute(config)
    if config.json:
        print(json.dumps(figures))
        return
    for name, value in rows(figures):
        print(f"{name:24} {value}")


def compute(config: MetricsConfig) -> dict[str, Any]:
    """All figures, rates in percent.

    Raises:
        SvmixerError: see :func:`svmixer.scoring.score_file.labelled_scores`; or one class is absent.
    """
    from svmixer.scoring.likelihood_ratio import min_cllr
    from svmixer.scoring.score_file import labelled_scores

    scores, labels = labelled_scores(*config.files)
    figures = score_figures(scores, labels, config.p_target, config.llr)
    figures["min_cllr"] = min_cllr(scores, labels)
    if config.utt2spk:
        figures["eer_ci95"] = _interval(config, scores, labels)
    if config.groups:
        figures["groups"] = {Path(path).name: _groups(config, path, scores, labels) for path in config.groups}
    return figures


def _groups(config: MetricsConfig, path: str, scores: np.ndarray, labels: np.ndarray) -> list[dict[str, Any]]:
    """Rates by the values of a list.

    Raises:
        ListError: an utterance of the trials has no value.
    """
    from svmixer.lists import ListError, read_table, read_trials
    from svmixer.report.groups import by_value, group_rates

    trials, table = read_trials(config.files[1]), read_table(path)
    missing = [utterance for utterance in trials.utterances if utterance not in table]
    if missing:
        what = f"{len(missing)} of the {len(trials.utterances)} utterances of {config.files[1]} have no value"
        raise ListError(f"{what} here", path=path, utterance=missing[0])
    groups = by_value(trials, [table[utterance] for utterance in trials.utterances])
    return [
        {name: value for name, value in asdict(group).items() if name != "interval"}
        for group in group_rates(scores, labels, *groups)
    ]


def score_figures(
    scores: np.ndarray, labels: np.ndarray, p_target: Sequence[float], llr: bool
) -> dict[str, Any]:
    """Figures of scores ``(N,)`` with labels ``(N,)``; see the options of the same names.

    Raises:
        SvmixerError: one class is absent, or a score is not finite.
    """
    from svmixer.scoring.likelihood_ratio import actual_dcf, cllr
    from svmixer.scoring.metrics import equal_error_rate, error_rates, min_dcf

    rates = error_rates(scores, labels)
    eer, threshold = equal_error_rate(rates)
    figures: dict[str, Any] = {
        "trials": len(scores), "targets": int(labels.sum()),
        "eer": 100 * eer, "eer_threshold": threshold,
        "min_dcf": {f"{p:g}": min_dcf(rates, p) for p in p_target},
    }  # fmt: skip
    if llr:
        figures["act_dcf"] = {f"{p:g}": actual_dcf(scores, labels, p) for p in p_target}
        figures["cllr"] = cllr(scores, labels)
    return figures


def _interval(config: MetricsConfig, scores: Any, labels: Any) -> list[float] | None:
    from svmixer.lists import read_trials
    from svmixer.scoring.metrics import eer_replicates, percentile_interval
    from svmixer.scoring.result import trial_speakers

    speakers = trial_speakers(read_trials(config.files[1]), Path(config.utt2spk))
    if speakers is None:
        raise UsageError(f"utt2spk: there is no file {config.utt2spk}")
    interval = percentile_interval(eer_replicates(scores, labels, speakers, config.replicates))
    return [100 * value for value in interval] if interval else None


def rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """What is printed: name, value."""
    eer = f"{figures['eer']:.2f} %"
    if figures.get("eer_ci95"):
        eer += " [{:.2f}, {:.2f}]".format(*figures["eer_ci95"])
    lines = [("trials", f"{figures['trials']}, {figures['targets']} of them target"), ("EER", eer)]
    lines.append(("threshold at the EER", f"{figures['eer_threshold']:.6g}"))
    for kind, name in (("min_dcf", "minDCF"), ("act_dcf", "actDCF")):
        lines += [(f"{name}({p})", f"{cost:.4f}") for p, cost in figures.get(kind, {}).items()]
    lines += [
        (name, f"{figures[key]:.4f} bits")
        for key, name in (("cllr", "Cllr"), ("min_cllr", "min Cllr"))
        if key in figures
    ]
    for key, groups in figures.get("groups", {}).items():
        lines += [(f"{key} {group['name']}", _group_line(group)) for group in groups]
    return lines


def _group_line(group: dict[str, Any]) -> str:
    """``EER 5.00 %, misses 4.00 %, false alarms 1.00 % (200 trials, 100 of them target)``."""
    rates = [
        f"{words} {group[name]:.2f} %"
        for name, words in (("eer", "EER"), ("misses", "misses"), ("false_alarms", "false alarms"))
        if group[name] is not None
    ]
    return f"{', '.join(rates)} ({group['trials']} trials, {group['targets']} of them target)"
