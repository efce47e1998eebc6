"""What can be wrong with trials that are well-formed: one mask a fault."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from svmixer.lists.errors import ListError
from svmixer.lists.trials import Trials

UNKNOWN = "trial with an utterance that the set does not have"
CONFLICTING = "the pair stands earlier with the other label"
MISLABELLED = "label and utt2spk disagree whether this is one speaker"


def check_classes(trials: Trials, path: str | Path) -> None:
    """Refuse a list that no error rate can be computed on.

    Args:
        trials: the list, or a part of it.
        path: where it stands, for the error.

    Raises:
        ListError: all trials are target trials, or none is.
    """
    targets = int(trials.labels.sum())
    if targets in (0, len(trials)):
        what = f"{targets} of {len(trials)} trials are target trials: error rates need both classes"
        raise ListError(what, path=path)


class Naming(NamedTuple):
    """Trials that name certain utterances."""

    row: int  # of the first
    name: str  # the first such utterance there
    trials: int  # how many


def first_naming(trials: Trials, utterances: np.ndarray, but: np.ndarray | None = None) -> Naming | None:
    """The trials that name an utterance of ``utterances``, bool (U,), and none of ``but``, bool (U,)."""
    enrol, test = trials.enrol, trials.test
    mask = utterances[enrol] | utterances[test]
    if but is not None:
        mask &= ~(but[enrol] | but[test])
    rows = np.flatnonzero(mask)
    if not len(rows):
        return None
    row = int(rows[0])
    index = enrol[row] if utterances[enrol[row]] else test[row]
    return Naming(row, trials.utterances[index], len(rows))


@dataclass(frozen=True, eq=False)
class TrialFaults:
    """Boolean masks over N trials; a trial may have several faults."""

    # bool (N,), names an utterance that the set does not have
    unknown: np.ndarray
    # bool (N,), the same utterance on both sides
    itself: np.ndarray
    # bool (N,), the pair stands earlier (in either order) with the other label
    conflicting: np.ndarray
    # bool (N,), target between two speakers or nontarget within one
    mislabelled: np.ndarray


def find_trial_faults(trials: Trials, known: np.ndarray, speakers: np.ndarray | None) -> TrialFaults:
    """Compare trials with the utterances of their set.

    Args:
        trials: N trials over U utterances.
        known: bool (U,), whether the set has the utterance.
        speakers: int64 (U,), a number for the utterance's speaker, anything where the utterance is not known;
            ``None``: labels are not compared with speakers.
    """
    enrol, test, labels = trials.enrol, trials.test, trials.labels
    unknown = ~(known[enrol] & known[test])
    mislabelled = np.zeros(len(trials), dtype=bool)
    if speakers is not None:
        mislabelled = ~unknown & ((speakers[enrol] == speakers[test]) != (labels == 1))
    return TrialFaults(unknown, enrol == test, _conflicting(trials), mislabelled)


def _conflicting(trials: Trials) -> np.ndarray:
    low = np.minimum(trials.enrol, trials.test).astype(np.int64)
    pair = low * len(trials.utterances) + np.maximum(trials.enrol, trials.test)
    order = np.argsort(pair, kind="stable")
    pair, labels = pair[order], trials.labels[order]
    conflicting = np.zeros(len(trials), dtype=bool)
    conflicting[order[1:]] = (pair[1:] == pair[:-1]) & (labels[1:] != labels[:-1])
    return conflicting
