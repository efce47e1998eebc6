"""Error rates within groups of trials, by length and by what the lists of a set say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from svmixer.audio.dumpset import RATE
from svmixer.lists import ListError, Trials, read_table
from svmixer.log import get_logger
from svmixer.report.results import Result
from svmixer.scoring.metrics import eer_replicates, equal_error_rate, error_rates, percentile_interval

logger = get_logger(__name__)

# Ends of the groups by length, in seconds.
LENGTHS = (1, 2, 3, 5, 10, 20)
# Lists with more values than this are divided into trials of the same value and of different ones.
MOST_VALUES = 8
# Lists that say nothing of a recording.
NO_GROUPS = ("utt2spk", "utt2num_samples", "utt2num_frames", "utt2dur", "utt2uniq", "spk2utt")


@dataclass(frozen=True)
class Group:
    """The trials of one group; rates in percent."""

    name: str
    trials: int
    targets: int
    # Within the group; None without targets or without others.
    eer: float | None
    interval: tuple[float, float] | None
    # At the threshold of the equal error rate over all trials; None without such trials.
    misses: float | None
    false_alarms: float | None


def groupings(result: Result, data_dir: Path | None) -> dict[str, list[Group]]:
    """What trials are divided by → the groups that there are.

    Args:
        result: on whose trial list.
        data_dir: the set's directory of Kaldi lists; a dump keeps a few of them alone. Lists that cannot be
            read are left out.
    """
    trials = result.trials()
    found = {"length of the shorter side": list(_groups(result, *_by_length(result, trials)))}
    for name, table in _tables(result, data_dir).items():
        keys = trials.utterances
        if name.startswith("spk2"):
            of_utterance = read_table(Path(result.metrics["data_dir"]) / "utt2spk")
            keys = [of_utterance.get(key, "") for key in keys]
        values = [table.get(key, "") for key in keys]
        if len(set(values)) > 1 and all(values):
            found[name] = list(_groups(result, *by_value(trials, values)))
    return {name: groups for name, groups in found.items() if len(groups) > 1}


def _tables(result: Result, data_dir: Path | None) -> dict[str, dict[str, str]]:
    """Name → list ``utt2*`` or ``spk2*`` of a set, from the dump or its data directory."""
    folders = [Path(result.metrics["data_dir"]), *([data_dir] if data_dir else [])]
    paths = {
        path.name: path
        for folder in reversed(folders)
        for pattern in ("utt2*", "spk2*")
        for path in sorted(folder.glob(pattern))
        if path.is_file() and path.name not in NO_GROUPS
    }
    speakers, found = (folders[0] / "utt2spk").is_file(), {}
    for name, path in sorted(paths.items()):
        if speakers or not name.startswith("spk2"):
            try:
                found[name] = read_table(path)
            except ListError as error:
                # No result depends on it.
                logger.warning("left out of the report: %s", error)
    return found


def _by_length(result: Result, trials: Trials) -> tuple[np.ndarray, list[str]]:
    """Group of each trial ``(N,)`` by the shorter of its sides, and the names of the groups."""
    path = Path(result.metrics["data_dir"]) / "utt2num_samples"
    if not path.is_file():
        return np.zeros(len(trials), int), ["all"]
    table = read_table(path)
    seconds = np.array([int(table.get(utterance, 0)) / RATE for utterance in trials.utterances])
    if result.condition.max_seconds:
        seconds = np.minimum(seconds, result.condition.max_seconds)
    names = [f"under {LENGTHS[0]} s", *(f"{a} to {b} s" for a, b in pairwise(LENGTHS))]
    shorter = np.minimum(seconds[trials.enrol], seconds[trials.test])
    return np.digitize(shorter, LENGTHS), [*names, f"{LENGTHS[-1]} s and more"]


def by_value(trials: Trials, values: list[str]) -> tuple[np.ndarray, list[str]]:
    """Group of each trial ``(N,)`` by the values of both sides, whichever is which, and the groups' names.

    Args:
        trials: N of them.
        values: one for each of ``trials.utterances``; where there are many, the groups are trials of the same
            value and of different ones.
    """
    distinct, index = np.unique(values, return_inverse=True)
    first, second = index[trials.enrol], index[trials.test]
    if len(distinct) > MOST_VALUES:
        return np.where(first == second, 0, 1), ["the same", "different"]
    low, high = np.minimum(first, second), np.maximum(first, second)
    names = [a if a == b else f"{a}, {b}" for a in distinct for b in distinct]
    return low * len(distinct) + high, names


def _groups(result: Result, group: np.ndarray, names: list[str]) -> Iterator[Group]:
    scores, labels = result.load()
    speakers = result.load_speakers()

    def interval(rows: np.ndarray) -> tuple[float, float] | None:
        return _interval(result, scores[rows], labels[rows], None if speakers is None else speakers[rows])

    yield from group_rates(scores, labels, group, names, interval)


def group_rates(
    scores: np.ndarray,
    labels: np.ndarray,
    group: np.ndarray,
    names: list[str],
    interval_of: Callable[[np.ndarray], tuple[float, float] | None] = lambda rows: None,
) -> Iterator[Group]:
    """Error rates of each group of trials that there is.

    Args:
        scores, labels: of the trials ``(N,)``, 1 = target.
        group: of each trial, ``int (N,)``.
        names: of the groups.
        interval_of: which trials ``bool (N,)`` → the interval of their equal error rate, in percent.
    """
    _, threshold = equal_error_rate(error_rates(scores, labels))
    for number in np.unique(group):
        rows = group == number
        score, label = scores[rows], labels[rows].astype(bool)
        eer = interval = None
        if label.any() and not label.all():
            eer = 100 * equal_error_rate(error_rates(score, label))[0]
            interval = interval_of(rows)
        yield Group(
            names[number], len(score), int(label.sum()), eer, interval,
            100 * float((score[label] < threshold).mean()) if label.any() else None,
            100 * float((score[~label] >= threshold).mean()) if not label.all() else None,
        )  # fmt: skip


def _interval(
    result: Result, scores: np.ndarray, labels: np.ndarray, speakers: np.ndarray | None
) -> tuple[float, float] | None:
    """In percent, over draws of the speakers that the group has."""
    drawn = result.metrics["bootstrap"]
    if speakers is None or not drawn:
        return None
    within = np.unique(speakers, return_inverse=True)[1].reshape(speakers.shape)
    return percentile_interval(
        100 * eer_replicates(scores, labels, within, drawn["replicates"], drawn["seed"])
    )
