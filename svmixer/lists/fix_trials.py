"""The trials of a data directory that is repaired: which can be used, which go, which are for the owner."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from svmixer.lists.enroll_map import Models, own_utterances, separate_models
from svmixer.lists.errors import ListError, more
from svmixer.lists.trial_names import Table, TrialNames
from svmixer.lists.trials import (
    CONFLICTING,
    MISLABELLED,
    UNKNOWN,
    Row,
    Trials,
    find_trial_faults,
    first_naming,
    parse_trials,
)
from svmixer.log import get_logger

logger = get_logger(__name__)


def clean_trials(
    path: Path,
    lines: Iterable[tuple[int, str]],
    names: TrialNames,
    tables: Mapping[str, Table],
    drop: Callable[[str, str], None],
    models: Models | None = None,
) -> list[Row]:
    """The trials that can be used, with ids in the place of paths.

    Args:
        path: the list, for errors.
        lines: its numbered lines.
        names: what its names stand for, by the other lists before their repair.
        tables: the other lists after it.
        drop: told the reason and the utterance of each trial that is left out.
        models: what the first names are, if not utterances; after the repair of ``enroll.map``.

    Raises:
        ListError: a fault that only the owner can decide about, or no trial is left.
    """
    utterances, utt2spk = tables[names.base], tables.get("utt2spk")
    resolved: dict[str, str | None] = {}

    def to_utterance(name: str) -> str:
        if name not in resolved:
            resolved[name] = names.find(name)
        return resolved[name] or name

    numbers = array("q")

    def rows() -> Iterator[Row]:
        for number, (label, enrol, test) in parse_trials(path, lines):
            numbers.append(number)
            yield label, enrol if models is not None else to_utterance(enrol), to_utterance(test)

    trials = Trials.from_rows(rows())
    first = len(trials.utterances)
    if models is not None:
        trials, first = separate_models(trials)
    stands_for = [*trials.utterances[:first], *_of_models(trials.utterances[first:], models or {})]
    # A list of a larger corpus names others, too; a name that may mean several is for the owner.
    strange = {name for name in resolved if resolved[name] is None}
    several = first_naming(trials, np.array([names.means_several(n) for n in stands_for], dtype=bool))
    unknown = first_naming(trials, np.array([name in strange for name in stands_for], dtype=bool))
    if several:
        what = f"{UNKNOWN}{more(several.trials)}: {names.explain(several.name)}"
        raise ListError(what, path=path, line=numbers[several.row], utterance=several.name)
    known = np.array([name in utterances for name in stands_for], dtype=bool)
    speakers = None
    if utt2spk is not None:
        speakers = np.array([hash(utt2spk.get(name)) for name in stands_for], dtype=np.int64)
    faults = find_trial_faults(trials, known, speakers)
    if models is not None:
        faults = replace(faults, itself=own_utterances(trials, first, models))
    kept: list[Row] = []
    reasons: Counter[str] = Counter()
    for i, row in enumerate(trials.rows()):
        if faults.unknown[i] or faults.itself[i]:
            reason = "utterance not in the set" if faults.unknown[i] else "utterance against itself"
            reasons[reason] += 1
            drop(reason, row[1] if not known[trials.enrol[i]] or faults.itself[i] else row[2])
        elif faults.conflicting[i] or faults.mislabelled[i]:
            what = CONFLICTING if faults.conflicting[i] else MISLABELLED
            raise ListError(what, path=path, line=numbers[i], utterance=row[1])
        else:
            kept.append(row)
    if unknown and not kept:
        what = f"no trial is left: {UNKNOWN}{more(unknown.trials)}: {names.explain(unknown.name)}"
        raise ListError(what, path=path, line=numbers[unknown.row], utterance=unknown.name)
    if unknown:
        what = f"{UNKNOWN}{more(unknown.trials)} left out: {names.explain(unknown.name)}"
        logger.warning("%s", ListError(what, path=path, line=numbers[unknown.row], utterance=unknown.name))
    if not kept:
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        raise ListError(f"no trial is left: {why or 'empty list'}", path=path)
    return kept


def _of_models(names: list[str], models: Models) -> Iterator[str]:
    """The first utterance of each model, which its speaker is known by; "" for one that is not there."""
    for name in names:
        yield models[name][0] if name in models else ""
