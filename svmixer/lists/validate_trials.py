"""The trials of a data directory, and the models that they name, against its other lists."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from svmixer.lists.check_list import CheckedList
from svmixer.lists.enroll_map import ENROLL_MAP, Models, model_faults, own_utterances, separate_models
from svmixer.lists.errors import ListError, more, problem
from svmixer.lists.table import iter_table
from svmixer.lists.trial_names import TrialNames
from svmixer.lists.trials import (
    CONFLICTING,
    MISLABELLED,
    UNKNOWN,
    Trials,
    find_trial_faults,
    first_naming,
)


def check_trials(
    path: Path,
    trials: Trials,
    utterances: CheckedList,
    utt2spk: CheckedList | None,
    lists: Collection[str],
    models: Models | None,
) -> Iterator[ListError]:
    """Problems of trials with names that the set does not have, or that compare the wrong ones.

    Args:
        path: the trial list.
        trials: what it holds.
        utterances: of the set.
        utt2spk: their speakers.
        lists: names of the set's sound lists.
        models: what the first names of trials are, if not utterances.
    """
    names, first = trials.utterances, len(trials.utterances)
    if models:
        trials, first = separate_models(trials)
        # A model is of the speaker of its utterances.
        names = [*names, *(models.get(name, [name])[0] for name in trials.utterances[first:])]
    hashes = np.fromiter(map(hash, names), dtype=np.int64, count=len(names))
    known, speakers = np.isin(hashes, utterances.keys), None
    if utt2spk:
        order = np.argsort(utt2spk.keys)
        place = np.searchsorted(utt2spk.keys, hashes, sorter=order).clip(max=len(order) - 1)
        speakers = utt2spk.named[order[place]]
        known &= utt2spk.keys[order[place]] == hashes
    told = known.copy()
    if models:
        strange = np.array([n >= first and m not in models for n, m in enumerate(trials.utterances)])
        known &= ~strange
        # What is wrong with the utterances of models is told elsewhere.
        told[first:] = True
        found = first_naming(trials, strange)
        if found:
            what = f"trial with a model that {ENROLL_MAP} does not have"
            yield problem(path, found.row + 1, found.name, what, found.trials, fixable=False)
    faults = find_trial_faults(trials, known, speakers)
    if models:
        faults = replace(faults, itself=own_utterances(trials, first, models))
    if not (told[trials.enrol] & told[trials.test]).all():
        yield from _unknown_names(path, trials, told, TrialNames.read(path.parent, lists))
    for mask, what, fixable in (
        (faults.itself, "trial of an utterance against itself", True),
        (faults.conflicting, CONFLICTING, False),
        (faults.mislabelled, MISLABELLED, False),
    ):
        rows = np.flatnonzero(mask)
        if len(rows):
            row = int(rows[0])
            yield problem(path, row + 1, trials.utterances[trials.enrol[row]], what, len(rows), fixable)


def check_models(
    path: Path, models: Models, utterances: CheckedList, utt2spk: CheckedList | None
) -> Iterator[ListError]:
    """A problem if models have utterances that the set does not have, or of several speakers."""
    known = {key for _, key, _ in iter_table(utterances.path)}
    speakers = {key: value for _, key, value in iter_table(utt2spk.path)} if utt2spk else None
    faults = list(model_faults(models, known, speakers, path))
    if faults:
        yield ListError(faults[0].what + more(len(faults)), path=path, utterance=faults[0].utterance)


def _unknown_names(path: Path, trials: Trials, known: np.ndarray, names: TrialNames) -> Iterator[ListError]:
    """Problems of trials with names that are not ``known``: those that no list has are for the owner."""
    pairs = zip(known.tolist(), trials.utterances, strict=True)
    strange = np.array([not has and not names.find(name) for has, name in pairs], dtype=bool)
    for found, fixable in (
        (first_naming(trials, strange), False),
        (first_naming(trials, ~known, but=strange), True),
    ):
        if found:
            # Which list lacks an id is told elsewhere.
            note = "" if names.find(found.name) == found.name else names.explain(found.name)
            yield problem(path, found.row + 1, found.name, UNKNOWN, found.trials, fixable, note)
