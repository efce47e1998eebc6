"""Error rates of an exported model, and the threshold that goes with it. Needs no torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from svmixer.audio.dumpset import DumpSet
from svmixer.errors import SvmixerError
from svmixer.fileio import md5_file
from svmixer.inference.onnx_model import OnnxModel, Precision
from svmixer.inference.utterance import unit_length
from svmixer.lists import Trials, read_table, read_trials
from svmixer.lists.trials import check_classes
from svmixer.scoring.metrics import score_trials, summary
from svmixer.scoring.result import rate_figures, read_metrics, trial_speakers
from svmixer.scoring.vectors import load_embeddings

# Windows of test speech that each graph embeds at most; of a larger set a part of the trials is scored.
EVALUATED = 1500


def graph_rates(directory: Path, precision: Precision, test: Path) -> dict[str, Any]:
    """EER, its interval and threshold, and minDCF of a graph: every sample of an utterance, unit length.

    Args:
        directory: the export.
        precision: which graph; it runs on one thread.
        test: dumped set with trials.

    Raises:
        ValueError: trials of one class, or see :mod:`svmixer.lists` and :mod:`svmixer.audio`.
    """
    model = OnnxModel(directory, precision, threads=1)
    dump, every = DumpSet(test), read_trials(test / "trials")
    row = {utterance: index for index, utterance in enumerate(dump.utterances)}
    lengths = np.array([dump.num_samples[row[utterance]] for utterance in every.utterances])
    trials = some_trials(every, np.ceil(lengths / model.window).astype(int), EVALUATED)
    check_classes(trials, test / "trials")
    embeddings = np.zeros((len(trials.utterances), model.description.embedding), np.float32)
    for index in np.union1d(trials.enrol, trials.test):
        embeddings[index] = model.embed(dump.read(row[trials.utterances[index]]))
    scores = score_trials(embeddings, trials.enrol, trials.test)
    speakers = trial_speakers(trials, test / "utt2spk")
    figures = rate_figures(scores, trials, speakers, replicates=1000, seed=0)
    return {"set": test.name, "trials": len(trials), "of_trials": len(every), **figures}


def some_trials(trials: Trials, cost: np.ndarray, most: int) -> Trials:
    """The trials between random utterances that together cost ``most`` at most; all if they do.

    Args:
        trials: the list.
        cost: int ``[len(trials.utterances)]``.
        most: the sum that may be reached.
    """
    if cost.sum() <= most:
        return trials
    taken = np.zeros(len(cost), bool)
    # Drawn with their partners: few pairs of a large set are trials.
    for index in np.random.default_rng(0).permutation(len(trials)):
        pair = taken.copy()
        pair[[trials.enrol[index], trials.test[index]]] = True
        if cost[pair].sum() > most:
            break
        taken = pair
    keep = taken[trials.enrol] & taken[trials.test]
    return replace(trials, labels=trials.labels[keep], enrol=trials.enrol[keep], test=trials.test[keep])


def scored_rates(scores_dir: Path, test: Path) -> dict[str, Any]:
    """What stage 5 found with the model, and the threshold for its embeddings at unit length.

    Its own threshold is for the scores of its protocol: means over pairs of crops are lower than cosines of
    mean embeddings, which verification compares.

    Args:
        scores_dir: with ``metrics.json`` and ``embeddings.scp``.
        test: the set that was scored.

    Raises:
        ValueError: scored with other trials, or embeddings are missing.
    """
    metrics = read_metrics(scores_dir)
    if metrics["trials_md5"] != md5_file(test / "trials"):
        raise SvmixerError(f"{scores_dir}: scored with other trials than those of {test}")
    trials = read_trials(test / "trials")
    table = read_table(scores_dir / "embeddings.scp")
    embeddings = unit_length(load_embeddings(table, trials.utterances, str(test / "trials")))
    figures = summary(score_trials(embeddings, trials.enrol, trials.test), trials.labels)
    kept = ("set", "trials", "protocol", "num_crops", "eer", "eer_ci95", "min_dcf", "bootstrap")
    return {
        **{key: metrics[key] for key in kept},
        "unit_length_threshold": round(figures["eer_threshold"], 7),
    }
