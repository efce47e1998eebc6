"""What an exported graph gives: its embeddings beside the model's own, its time, and its error rates."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from svmixer.audio.dumpset import DumpSet
from svmixer.errors import SvmixerError
from svmixer.fileio import md5_file
from svmixer.inference.onnx_model import OnnxModel, Precision, open_session, run_session
from svmixer.lists import Trials, find_enroll_map, read_trials
from svmixer.lists.trials import check_classes
from svmixer.log import get_logger
from svmixer.scoring.metrics import score_trials, summary
from svmixer.scoring.result import rate_figures, read_metrics, trial_speakers
from svmixer.scoring.trial_scores import join_sides, stored_cosines

if TYPE_CHECKING:
    from svmixer.models.speaker_model import SpeakerModel

logger = get_logger(__name__)

# Lowest cosine with the model's own embeddings of the same windows.
PARITY = {"float32": 0.9999, "int8": 0.999, "float16 weights": 0.9999}
# Windows of test speech for a check.
CHECKING = 64
# Windows of test speech that each graph embeds at most; of a larger set a part of the trials is scored.
EVALUATED = 1500


class ParityError(SvmixerError):
    """What was exported does not give the model's embeddings."""


def check_parity(what: str, path: Path, found: np.ndarray, exact: np.ndarray) -> dict[str, Any]:
    """How near the embeddings ``(W, D)`` of an export are to those of the model.

    Args:
        what: a key of :data:`PARITY`.
        path: of the file, for the message.
        found: embeddings by the export.
        exact: of the same windows by the model.

    Raises:
        ParityError: not near enough, or not finite.
    """
    cosine = cosines(found, exact)
    logger.info("%s: lowest cosine with the model %.6f", path, cosine.min())
    # NaN is no parity either.
    if not cosine.min() >= PARITY[what]:
        raise ParityError(
            f"{path}: the lowest cosine with the model's embeddings of {len(exact)} windows is "
            f"{cosine.min():.6f}, not {PARITY[what]} or more"
        )
    return {
        "cosine_lowest": float(cosine.min()),
        "cosine_mean": float(cosine.mean()),
        "windows": len(exact),
        "megabytes": path.stat().st_size / 1e6,
    }


def run_windows(path: Path, windows: np.ndarray, threads: int = 0) -> np.ndarray:
    """Embeddings ``float32 (W, D)`` of windows ``(W, window)`` by the graph in a file."""
    session = open_session(path, threads)
    return np.concatenate([run_session(session, window[None]) for window in windows])


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of each row of ``(W, D)`` with the same row of the other, in double precision: ``(W,)``."""
    one, two = first.astype(np.float64), second.astype(np.float64)
    return (one * two).sum(1) / (np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1))


def milliseconds(calls: dict[str, Callable[[], object]], rounds: int = 15) -> dict[str, float]:
    """Median processor time of each call in this thread; the calls take turns.

    What else the machine does takes turns with them, too: their time is not counted, and it meets all alike.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 2):
        for name, call in calls.items():
            began = time.thread_time()
            call()
            if number >= 2:
                times[name].append(1000 * (time.thread_time() - began))
    return {name: statistics.median(values) for name, values in times.items()}


def speech_windows(dump: DumpSet, samples: int, count: int, seed: int) -> np.ndarray:
    """Random crops ``float32 (count, samples)``, each of another utterance while there are any."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(dump))
    chosen = np.resize(order, count)
    return np.stack([dump.read_crop(int(index), samples, rng) for index in chosen])


def model_embeddings(model: SpeakerModel, windows: np.ndarray) -> np.ndarray:
    """Embeddings ``float32 (W, D)`` of windows ``(W, window)`` by PyTorch, one at a time."""
    return np.concatenate([model.embed_windows(window[None]) for window in windows])


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
    models = find_enroll_map(test) or {}
    windows = np.ceil(np.asarray(dump.num_samples) / model.window).astype(int)
    # A model costs what its utterances do.
    members = [[*models.get(name, []), *([name] if name in row else [])] for name in every.utterances]
    cost = np.array([sum(windows[row[name]] for name in names) for names in members])
    trials = some_trials(every, cost, EVALUATED)
    check_classes(trials, test / "trials")

    def embed(names: list[str]) -> np.ndarray:
        return np.stack([model.embed(dump.read(row[name])) for name in names])

    embeddings, enrolled, tested = join_sides(trials, test, embed)
    scores = score_trials(embeddings, enrolled, tested)
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
    figures = summary(stored_cosines(scores_dir, trials, test), trials.labels)
    kept = ("set", "trials", "protocol", "num_crops", "eer", "eer_ci95", "min_dcf", "bootstrap")
    return {
        **{key: metrics[key] for key in kept},
        "unit_length_threshold": round(figures["eer_threshold"], 7),
    }
