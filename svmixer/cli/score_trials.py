"""Score a trial list with a model: svmixer score_trials TRIALS [--audio_dir DIR | --wav_scp FILE]

TRIALS has the form of Kaldi ('utterance1 utterance2 target'), of ESPnet or of VoxCeleb ('1 path1 path2').
Its names are files below --audio_dir, or utterances of a Kaldi list. Every recording is embedded once, as
`svmixer verify` does it. Prints EER and costs; --output keeps the scores, 'utterance1 utterance2 score', for
`svmixer metrics` and other programs.

    svmixer score_trials trials.txt --audio_dir wav --output scores.txt

Scores are log-likelihood ratios if the model has a calibration, else cosines. `run.sh` does more: conditions,
intervals, controls, a report, cluster jobs.

Exit status: 0 with figures; 1 when a list or a recording cannot be used, and nothing is written then; 2 for a
command line that makes no sense.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from svmixer.cli.options import ModelOptions
from svmixer.cli.score_metrics import rows, score_figures
from svmixer.config import parse_args
from svmixer.errors import SvmixerError, UsageError
from svmixer.log import Progress, get_logger

if TYPE_CHECKING:
    from svmixer.scoring.sides import Side
    from svmixer.scoring.verifier import Verifier

logger = get_logger(__name__)
# Failed recordings that are named.
NAMED = 5


@dataclass(frozen=True)
class ScoreTrialsConfig(ModelOptions):
    """Options of ``svmixer score_trials``."""

    # Folder that the names of the trial list are files of; without it the current one.
    audio_dir: str = ""
    # Kaldi list with the recording of each name.
    wav_scp: str = ""
    # ratio: log-likelihood ratios, for which the model needs a calibration; cosine; auto: ratio if it can.
    scores: Literal["auto", "ratio", "cosine"] = "auto"
    # File for the scores.
    output: str = ""
    # true: print the figures as a JSON object.
    json: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.audio_dir and self.wav_scp:
            raise ValueError("audio_dir, wav_scp: one of them says where the recordings are")


def main(argv: list[str] | None = None) -> None:
    """Score the list; what cannot be used ends with a line and status 1."""
    config = parse_args(ScoreTrialsConfig, argv, __doc__)
    if len(config.files) != 1:
        raise UsageError(f"expected one trial list, found {len(config.files)}: svmixer score_trials TRIALS")
    from svmixer.lists import read_trials
    from svmixer.lists.trials import check_classes
    from svmixer.scoring.result import write_scores

    trials = read_trials(config.files[0])
    check_classes(trials, config.files[0])
    verifier = config.verifier()
    calibrated = verifier.decider.calibration is not None
    if config.scores == "ratio" and not calibrated:
        raise SvmixerError(f"{config.model} has no calibration: svmixer calibrate, or --scores cosine")
    ratio = calibrated and config.scores != "cosine"
    sides = embed_sides(verifier, recordings(config, trials.utterances))
    scores = verifier.decider.trial_scores(sides, trials.enrol, trials.test, ratio)
    if config.output:
        write_scores(config.output, trials, scores)
    figures = score_figures(scores, trials.labels, (0.05, 0.01), ratio)
    if config.json:
        print(json.dumps({"scores": "ratio" if ratio else "cosine", **figures}))
        return
    print(f"{'scores':24} {'log-likelihood ratios' if ratio else 'cosines'}")
    for name, value in rows(figures):
        print(f"{name:24} {value}")


def recordings(config: ScoreTrialsConfig, names: list[str]) -> list[str]:
    """The file of each name.

    Raises:
        ListError: names that the list of recordings lacks.
    """
    if not config.wav_scp:
        return [os.path.join(config.audio_dir, name) for name in names]
    from svmixer.lists import ListError, read_table

    table = read_table(config.wav_scp)
    missing = [name for name in names if name not in table]
    if missing:
        few = ", ".join(missing[:NAMED]) + (" …" if len(missing) > NAMED else "")
        what = f"{len(missing)} of the {len(names)} names in {config.files[0]} are not here: {few}"
        raise ListError(what, path=config.wav_scp)
    return [table[name] for name in names]


def embed_sides(verifier: Verifier, files: list[str]) -> list[Side]:
    """Every recording, ready to be compared.

    Raises:
        SvmixerError: recordings that cannot be used; the first are named.
    """
    progress, sides, failures = Progress(logger, len(files), "recordings"), [], []
    for number, name in enumerate(files, 1):
        try:
            sides.append(verifier.test_side(name))
        except SvmixerError as error:
            failures.append(str(error))
        progress.update(number)
    if failures:
        more = [f"and {len(failures) - NAMED} more"] if len(failures) > NAMED else []
        first = f"{len(failures)} of {len(files)} recordings cannot be used:"
        raise SvmixerError("\n".join([first, *failures[:NAMED], *more]))
    return sides
