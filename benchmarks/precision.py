"""What a precision does to embeddings and error rates: ``python benchmarks/precision.py --model DIR …``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from measure import Result, command_line, write_result

from svmixer.audio.dumpset import DumpSet
from svmixer.config import parse_args
from svmixer.export.check import cosines
from svmixer.export.windows import speech_windows
from svmixer.fast import PRECISIONS, calibrate, optimise
from svmixer.lists import Trials, read_trials
from svmixer.models.io import load_model
from svmixer.models.speaker_model import SpeakerModel
from svmixer.scoring.evaluate import evaluate


@dataclass(frozen=True)
class PrecisionConfig:
    """Options of the script."""

    # Model directory.
    model: str
    # Dumped set with trials.
    test_dir: str
    # Dumped set of other speakers that int8 is calibrated on.
    calibration_dir: str
    # Windows of it.
    windows: int = 48
    # true: twenty trials, two windows of calibration.
    quick: bool = False
    # Folder for the results.
    output: str = "exp/benchmark"


def main(argv: list[str] | None = None) -> None:
    """Embed the set in each precision, score, print the table."""
    config = parse_args(PrecisionConfig, argv, __doc__)
    if config.quick:
        config = replace(config, windows=2)
    model = load_model(config.model)
    speech = speech_windows(DumpSet(config.calibration_dir), model.window, config.windows, seed=0)
    models = {"plain": model}
    for precision in PRECISIONS:
        calibration = calibrate(model, speech) if precision == "int8" else None
        models[precision] = optimise(model, precision, calibration)
    dump, trials = DumpSet(config.test_dir), read_trials(Path(config.test_dir) / "trials")
    trials = first_trials(trials, 10) if config.quick else trials
    embeddings = {name: embed_trials(each, dump, trials.utterances) for name, each in models.items()}
    exact = embeddings["plain"]
    rows, figures = [], {}
    for name, found in embeddings.items():
        near = cosines(found, exact)
        eer = evaluate(found, trials)["eer"]
        difference = float(np.abs(found - exact).max())
        figures[name] = {"eer": eer, "lowest": float(near.min()), "difference": difference}
        rows.append([name, f"{eer:.3f}", f"{difference:.1e}", f"{near.min():.6f}", f"{near.mean():.6f}"])
    result = Result(
        name="precision",
        title=f"Precisions on {len(trials.utterances)} utterances, {len(trials)} trials",
        command=command_line(),
        header=["precision", "EER %", "largest difference", "lowest cosine", "mean cosine"],
        rows=rows,
        align="lrrrr",
        figures=figures,
        notes=["Differences and cosines are those of unit-length embeddings to the plain model's."],
    )
    print(write_result(result, config.output))


def first_trials(trials: Trials, each: int) -> Trials:
    """The first trials of either label."""
    rows = list(trials.rows())
    return Trials.from_rows(
        row for label in (1, 0) for row in [row for row in rows if row[0] == label][:each]
    )


def embed_trials(model: SpeakerModel, dump: DumpSet, utterances: list[str]) -> np.ndarray:
    """Embeddings ``(U, D)``, every sample of an utterance used."""
    row = {utterance: index for index, utterance in enumerate(dump.utterances)}
    return np.stack([model.embed(dump.read(row[utterance])) for utterance in utterances])


if __name__ == "__main__":
    main()
