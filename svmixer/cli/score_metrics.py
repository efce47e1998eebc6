"""Error rates of a score file: svmixer metrics SCORES [TRIALS] [--json true]

SCORES has lines 'utterance1 utterance2 score' (Kaldi, SpeechBrain, this project's stage 5), the same with a
label behind it (WeSpeaker) or in front of it, or 'score label'. TRIALS is a trial list of Kaldi's or
VoxCeleb's form, for scores without labels; lines may stand in any order.

    svmixer metrics exp/voices_compact/score/test/scores data/test/trials

--groups gives the error rate within groups of trials, and the misses and false alarms that each has at the
threshold of the equal error rate over all.

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

    from svmixer.scoring.groups import Draws


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
    # Lists 'utterance value' (utt2sex, utt2lang …), or 'speaker value' called spk2… (with utt2spk): also the
    # error rates of the trials by the values of their sides (with TRIALS); utt2dur, in seconds, divides them
    # by the length of the shorter side.
    groups: tuple[str, ...] = ()
    # List 'model utterance1 utterance2 ...' of the models that the first names of trials are.
    enroll_map: str = ""
    # true: print a JSON object.
    json: bool = False

    def __post_init__(self) -> None:
        at_least(self, 1, "replicates")
        if not self.utt2spk and any(Path(name).name.startswith("spk2") for name in self.groups):
            raise ValueError("groups: a list by speaker needs utt2spk, too")
        names = [Path(name).name for name in self.groups]
        if len(set(names)) < len(names):
            raise ValueError(f"groups: two lists of one name among {', '.join(names)}")
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
    from svmixer.scoring.metrics import eer_replicates, percentile_interval
    from svmixer.scoring.score_file import labelled_scores

    scores, labels = labelled_scores(*config.files)
    figures = score_figures(scores, labels, config.p_target, config.llr)
    figures["min_cllr"] = min_cllr(scores, labels)
    draws = _draws(config)
    if draws:
        interval = percentile_interval(eer_replicates(scores, labels, draws.speakers, draws.replicates))
        figures["eer_ci95"] = [100 * value for value in interval] if interval else None
    if config.groups:
        figures["groups"] = _groups(config, scores, labels, draws)
    return figures


def _draws(config: MetricsConfig) -> Draws | None:
    """Speakers of the trials, None if they are not asked for."""
    from svmixer.lists import read_trials
    from svmixer.scoring.groups import Draws
    from svmixer.scoring.result import trial_speakers

    if not config.utt2spk:
        return None
    speakers = trial_speakers(read_trials(config.files[1]), config.utt2spk, config.enroll_map or None)
    if speakers is None:
        raise UsageError(f"utt2spk: there is no file {config.utt2spk}")
    return Draws(speakers, config.replicates, 0)


def _groups(
    config: MetricsConfig, scores: np.ndarray, labels: np.ndarray, draws: Draws | None
) -> dict[str, list[dict[str, Any]]]:
    """Name of a list → its groups, with intervals where speakers are known.

    Raises:
        ListError: see :func:`svmixer.scoring.groups.by_list`.
    """
    from svmixer.lists import read_enroll_map, read_trials, read_utt2spk
    from svmixer.scoring.groups import by_list, group_rates

    trials = read_trials(config.files[1])
    models = read_enroll_map(config.enroll_map) if config.enroll_map else None
    utt2spk = read_utt2spk(config.utt2spk) if config.utt2spk else {}
    found = {}
    for path in map(Path, config.groups):
        groups = group_rates(scores, labels, *by_list(trials, path, utt2spk, models), draws)
        found[path.name] = [
            {name: value for name, value in asdict(group).items() if draws or name != "interval"}
            for group in groups
        ]
    return found


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
    """``EER 5.00 % [3.00, 6.00], misses 4.00 %, false alarms 1.00 % (200 trials, 100 of them target)``."""
    interval = " [{:.2f}, {:.2f}]".format(*group["interval"]) if group.get("interval") else ""
    rates = [
        f"{words} {group[name]:.2f} %{interval if name == 'eer' else ''}"
        for name, words in (("eer", "EER"), ("misses", "misses"), ("false_alarms", "false alarms"))
        if group[name] is not None
    ]
    return f"{', '.join(rates)} ({group['trials']} trials, {group['targets']} of them target)"
