"""Results of one trial list on disk: ``scores`` (``utterance1 utterance2 score`` in trial order) and
``metrics.json``.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

import svmixer
from svmixer.fileio import atomic_write, md5_file, read_json, write_json
from svmixer.lists import ListError, Trials, read_enroll_map, read_trials, read_utt2spk
from svmixer.lists.enroll_map import ENROLL_MAP, model_speaker
from svmixer.lists.table import iter_lines
from svmixer.lists.trials import check_classes
from svmixer.scoring.metrics import SCORE_DECIMALS, eer_replicates, percentile_interval, summary
from svmixer.scoring.trial_scores import Scoring, score_sides, trial_vectors


def score_set(
    embeddings_dir: str | Path,
    data_dir: str | Path,
    output_dir: str | Path,
    num_jobs: int,
    replicates: int,
    seed: int,
    scoring: Scoring | None = None,
    test_embeddings_dir: str | Path = "",
) -> dict[str, Any]:
    """Merge the jobs' embeddings, score ``data_dir/trials``, write ``scores`` and ``metrics.json``.

    The interval needs to know who speaks: a set without ``utt2spk`` gets none. Scores are raw cosines without
    ``scoring``. With ``test_embeddings_dir`` the test side of every trial has its embedding from there.

    Returns:
        What ``metrics.json`` holds; error rates and their interval are percentages, detection costs are
        normalised.

    Raises:
        EmbeddingError: embeddings are missing, or not finite; files and utterances are named.
        ListError: a list is missing or broken, an utterance is not in ``utt2spk``, or there is one class of
            trials.
    """
    data_dir, output_dir = Path(data_dir), Path(output_dir)
    trials = read_trials(data_dir / "trials")
    check_classes(trials, data_dir / "trials")
    sides = trial_vectors(embeddings_dir, test_embeddings_dir, num_jobs, trials, data_dir)
    scored, settings = score_sides(sides, scoring or Scoring()), sides.settings
    models = data_dir / ENROLL_MAP
    speakers = trial_speakers(trials, data_dir / "utt2spk")
    metrics = {
        "set": data_dir.name,
        "trials": len(trials),
        "targets": int(trials.labels.sum()),
        "trials_md5": md5_file(data_dir / "trials"),
        **({"enroll_map_md5": md5_file(models)} if models.exists() else {}),
        "protocol": settings["protocol"],
        "num_crops": settings["num_crops"],
        "lowpass_hz": settings["lowpass_hz"],
        "max_seconds": settings["max_seconds"],
        **({"channels": settings["channels"]} if "channels" in settings else {}),
        "scoring": scored.scorer,
        "normalisation": scored.normalisation,
        "cohort": scored.cohort,
        **rate_figures(scored.scores, trials, speakers, replicates, seed),
        "model": settings["model"],
        "data_dir": str(data_dir),
        "commit": code_commit(),
    }
    write_scores(output_dir / "scores", trials, scored.scores)
    write_json(output_dir / "metrics.json", metrics)
    return metrics


def rate_figures(
    scores: np.ndarray, trials: Trials, speakers: np.ndarray | None, replicates: int, seed: int
) -> dict[str, Any]:
    """Error rates with their interval and units, rounded for the file."""
    figures = summary(scores, trials.labels)
    interval = bootstrap = None
    if speakers is not None:
        interval = percentile_interval(eer_replicates(scores, trials.labels, speakers, replicates, seed))
        number = len(np.unique(speakers))
        bootstrap = {"over": "speakers", "speakers": number, "replicates": replicates, "seed": seed}
    return {
        "eer": round(figures["eer"], 6),
        "eer_ci95": [round(100 * value, 6) for value in interval] if interval else None,
        # A threshold midway between two scores has one decimal more than they have.
        "eer_threshold": round(figures["eer_threshold"], SCORE_DECIMALS + 1),
        "min_dcf": {p_target: round(value, 6) for p_target, value in figures["min_dcf"].items()},
        "units": {"eer": "percent", "eer_ci95": "percent", "min_dcf": "normalised, C_miss = C_fa = 1"},
        "bootstrap": bootstrap,
    }


def trial_speakers(
    trials: Trials, utt2spk: str | Path, enroll_map: str | Path | None = None
) -> np.ndarray | None:
    """Speakers of each trial as int32 indices ``(N, 2)``, numbered in byte order of the names of those in the
    list; None if there is no such file.

    Args:
        trials: the list.
        utt2spk: the speaker of every utterance.
        enroll_map: the models that the first column names; None: ``enroll.map`` beside ``utt2spk``, if there
            is one.

    Raises:
        ListError: an utterance of the list has no speaker; see
            :func:`svmixer.lists.enroll_map.model_speaker`.
    """
    if not Path(utt2spk).exists():
        return None
    table, path = read_utt2spk(utt2spk), Path(enroll_map or Path(utt2spk).with_name(ENROLL_MAP))
    models = read_enroll_map(path) if enroll_map or path.exists() else None

    def speaker(name: str) -> str:
        if name not in table:
            raise ListError("is in the trial list and has no speaker here", path=utt2spk, utterance=name)
        return table[name]

    def of_model(name: str) -> str:
        return speaker(name) if models is None else model_speaker(name, models, table, path)

    sides = [
        (rows, {index: of(trials.utterances[index]) for index in np.unique(rows).tolist()})
        for rows, of in ((trials.enrol, of_model), (trials.test, speaker))
    ]
    number = {
        name: index for index, name in enumerate(sorted({s for _, found in sides for s in found.values()}))
    }
    columns = []
    for rows, found in sides:
        of_name = np.zeros(len(trials.utterances), dtype=np.int32)
        of_name[list(found)] = [number[name] for name in found.values()]
        columns.append(of_name[rows])
    return np.stack(columns, axis=1)


def write_scores(path: str | Path, trials: Trials, scores: np.ndarray) -> None:
    """Write ``utterance1 utterance2 score`` lines in trial order, six decimals, atomically."""
    with atomic_write(path) as stream:
        for (_, enrol, test), score in zip(trials.rows(), scores.tolist(), strict=True):
            stream.write(f"{enrol} {test} {score:.{SCORE_DECIMALS}f}\n")


def read_scores(path: str | Path, trials: Trials) -> np.ndarray:
    """Scores ``(N,)`` of a file that :func:`write_scores` made for these trials.

    Raises:
        ListError: another form, other utterances, or another number of lines.
    """
    scores = np.empty(len(trials), dtype=np.float64)
    number = 0
    for (number, line), (_, enrol, test) in zip(iter_lines(path), trials.rows(), strict=False):
        pair, _, score = line.rpartition(" ")
        if pair != f"{enrol} {test}":
            raise ListError(f"expected the score of '{enrol} {test}', found '{line}'", path=path, line=number)
        scores[number - 1] = float(score)
    if number != len(trials):
        raise ListError(f"{number} scores for {len(trials)} trials", path=path)
    return scores


def read_metrics(directory: str | Path) -> dict[str, Any]:
    """``metrics.json`` of a result directory."""
    return read_json(Path(directory) / "metrics.json")


def code_commit() -> str:
    """The commit of the code that runs, with ``-dirty`` behind it when tracked files differ from it.

    Outside a git checkout (an installed package): ``v`` and the version.
    """
    root = Path(svmixer.__file__).resolve().parent.parent
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        # The package may lie below somebody else's repository; only its own checkout counts.
        if (root / ".git").exists():
            environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
            return subprocess.check_output(
                command, text=True, env=environment, stderr=subprocess.DEVNULL
            ).strip()
    except (OSError, subprocess.CalledProcessError):
        pass
    return f"v{svmixer.__version__}"
