"""Error rates within groups of trials: by length, and by what a list ``utt2*`` or ``spk2*`` says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from svmixer.lists import ListError, Trials, read_table
from svmixer.lists.enroll_map import Models
from svmixer.scoring.metrics import eer_replicates, equal_error_rate, error_rates, percentile_interval

# Ends of the groups by length, in seconds.
LENGTHS = (1, 2, 3, 5, 10, 20)
# Lists with more values than this are divided into trials of the same value and of different ones.
MOST_VALUES = 8
# The value of a model whose utterances have several.
SEVERAL = "several"


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


@dataclass(frozen=True)
class Draws:
    """Of speakers, for intervals."""

    # (N, 2), of each trial.
    speakers: np.ndarray
    replicates: int
    seed: int


def by_value(
    trials: Trials, value: Callable[[str], str], models: Models | None = None
) -> tuple[np.ndarray, list[str]]:
    """Group of each trial ``(N,)`` by the values of both sides, whichever is which, and the groups' names.

    Args:
        trials: the list.
        value: of an utterance; "" for one that has none.
        models: utterances of the models that the first names are.
    """

    def of_model(name: str) -> str:
        values = {value(member) for member in (models or {}).get(name, [name])}
        return values.pop() if len(values) == 1 else "" if "" in values else SEVERAL

    sides = [_of_side(trials, trials.enrol, of_model), _of_side(trials, trials.test, value)]
    distinct, index = np.unique(np.concatenate(sides), return_inverse=True)
    first, second = index.reshape(2, -1)
    if len(distinct) > MOST_VALUES:
        return np.where(first == second, 0, 1), ["the same", "different"]
    low, high = np.minimum(first, second), np.maximum(first, second)
    names = [a if a == b else f"{a}, {b}" for a in distinct for b in distinct]
    return low * len(distinct) + high, names


def by_length(
    trials: Trials, seconds: Callable[[str], float], models: Models | None = None
) -> tuple[np.ndarray, list[str]]:
    """The same by the shorter of the sides; a model is as long as its utterances together."""

    def of_model(name: str) -> float:
        return sum(seconds(member) for member in (models or {}).get(name, [name]))

    sides = _of_side(trials, trials.enrol, of_model), _of_side(trials, trials.test, seconds)
    names = [f"under {LENGTHS[0]} s", *(f"{a} to {b} s" for a, b in pairwise(LENGTHS))]
    return np.digitize(np.minimum(*sides), LENGTHS), [*names, f"{LENGTHS[-1]} s and more"]


def by_list(
    trials: Trials, path: Path, utt2spk: Mapping[str, str], models: Models | None = None
) -> tuple[np.ndarray, list[str]]:
    """The same by a list on disk: ``utt2dur`` divides by length, others by their values; those that are
    called ``spk2*`` have them by speaker.

    Raises:
        ListError: an utterance or its speaker has no value there, or no number of seconds.
    """
    table = read_table(path)
    enrolled = [trials.utterances[index] for index in np.unique(trials.enrol)]
    used = [member for name in enrolled for member in (models or {}).get(name, [name])]
    used = list(dict.fromkeys([*used, *(trials.utterances[index] for index in np.unique(trials.test))]))

    def key(utterance: str) -> str:
        return utt2spk.get(utterance, utterance) if path.name.startswith("spk2") else utterance

    missing = [utterance for utterance in used if key(utterance) not in table]
    if missing:
        what = f"{len(missing)} of the {len(used)} utterances of the trials have no value here"
        raise ListError(what, path=path, utterance=key(missing[0]))

    def value(utterance: str) -> str:
        return table[key(utterance)]

    def seconds(utterance: str) -> float:
        text = value(utterance)
        if not re.fullmatch(r"[0-9]+(\.[0-9]*)?", text):
            raise ListError(f"expected seconds, found '{text}'", path=path, utterance=utterance)
        return float(text)

    if path.name == "utt2dur":
        return by_length(trials, seconds, models)
    return by_value(trials, value, models)


def _of_side(
    trials: Trials, side: np.ndarray, value: Callable[[str], str] | Callable[[str], float]
) -> np.ndarray:
    """Values ``(N,)`` of one side of all trials."""
    used, place = np.unique(side, return_inverse=True)
    return np.array([value(trials.utterances[index]) for index in used])[place]


def group_rates(
    scores: np.ndarray, labels: np.ndarray, group: np.ndarray, names: list[str], draws: Draws | None
) -> Iterator[Group]:
    """Error rates of each group that has trials.

    Args:
        scores: ``(N,)``.
        labels: ``(N,)``, 1 = target, 0 = non-target.
        group: number of each trial's ``(N,)``.
        names: of the groups by number.
        draws: of speakers; None: no intervals.

    Raises:
        SvmixerError: see :func:`svmixer.scoring.metrics.check_scores`.
    """
    _, threshold = equal_error_rate(error_rates(scores, labels))
    for number in np.unique(group):
        rows = group == number
        score, label = scores[rows], labels[rows].astype(bool)
        eer = interval = None
        if label.any() and not label.all():
            eer = 100 * equal_error_rate(error_rates(score, label))[0]
            interval = _interval(score, label, rows, draws) if draws else None
        yield Group(
            names[number], len(score), int(label.sum()), eer, interval,
            100 * float((score[label] < threshold).mean()) if label.any() else None,
            100 * float((score[~label] >= threshold).mean()) if not label.all() else None,
        )  # fmt: skip


def _interval(
    scores: np.ndarray, labels: np.ndarray, rows: np.ndarray, draws: Draws
) -> tuple[float, float] | None:
    """In percent, over draws of the speakers that the group has."""
    speakers = draws.speakers[rows]
    within = np.unique(speakers, return_inverse=True)[1].reshape(speakers.shape)
    return percentile_interval(100 * eer_replicates(scores, labels, within, draws.replicates, draws.seed))
