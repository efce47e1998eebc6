"""Speaker models of several utterances: ``enroll.map`` with lines ``model utterance1 utterance2 …``.

Where a set has one, the first column of its ``trials`` names models; each is the mean of its utterances.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from svmixer.lists.errors import ListError
from svmixer.lists.table import iter_table
from svmixer.lists.trial_names import TrialNames
from svmixer.lists.trials import Trials

ENROLL_MAP = "enroll.map"

Models = Mapping[str, list[str]]


def read_enroll_map(path: str | Path) -> dict[str, list[str]]:
    """Model → its utterances, in file order.

    Raises:
        ListError: see :func:`svmixer.lists.table.iter_table`, a model without utterances among that; also a
            model that is listed twice, an utterance twice in one model, and a file without entries.
    """
    models: dict[str, list[str]] = {}
    for number, model, value in iter_table(path):
        if model in models:
            raise ListError("is listed twice", path=path, line=number, utterance=model)
        utterances = value.split()
        twice = next((name for name in utterances if utterances.count(name) > 1), None)
        if twice is not None:
            raise ListError(f"has the utterance {twice} twice", path=path, line=number, utterance=model)
        models[model] = utterances
    if not models:
        raise ListError("empty list", path=path)
    return models


def find_enroll_map(data_dir: str | Path) -> dict[str, list[str]] | None:
    """The models of a set, None if its trials name utterances.

    Raises:
        ListError: see :func:`read_enroll_map`.
    """
    path = Path(data_dir) / ENROLL_MAP
    return read_enroll_map(path) if path.exists() else None


def model_speaker(model: str, models: Models, utt2spk: Mapping[str, str], path: str | Path) -> str:
    """The speaker of a model; ``path`` is that of ``enroll.map``, for the error.

    Raises:
        ListError: no such model, an utterance of it that has no speaker, or utterances of several speakers.
    """
    if model not in models:
        raise ListError("is in the trial list and no model here", path=path, utterance=model)
    speakers: dict[str, str] = {}
    for utterance in models[model]:
        if utterance not in utt2spk:
            raise ListError(f"its utterance {utterance} has no speaker", path=path, utterance=model)
        speakers.setdefault(utt2spk[utterance], utterance)
    if len(speakers) > 1:
        (one, first), (other, second) = list(speakers.items())[:2]
        what = f"mixes speakers: {first} is of {one}, {second} of {other}"
        raise ListError(what, path=path, utterance=model)
    return next(iter(speakers))


def model_faults(
    models: Models, utterances: Container[str], utt2spk: Mapping[str, str] | None, path: Path
) -> Iterator[ListError]:
    """The first fault of each model: an utterance that the set does not have, or speakers mixed."""
    for model, members in models.items():
        strange = next((name for name in members if name not in utterances), None)
        if strange is not None:
            yield ListError(f"its utterance {strange} is not in the set", path=path, utterance=model)
        elif utt2spk is not None:
            try:
                model_speaker(model, models, utt2spk, path)
            except ListError as error:
                yield error


def clean_models(
    path: Path,
    lines: Iterable[tuple[int, str]],
    names: TrialNames,
    utterances: Container[str],
    utt2spk: Mapping[str, str] | None,
    drop: Callable[[str, str], None],
) -> dict[str, list[str]]:
    """The models that can be used, with ids in the place of paths, without utterances that the set lacks.

    Args:
        path: the list, for errors.
        lines: its numbered lines.
        names: what its names stand for, by the other lists before their repair.
        utterances: the set's, after it.
        utt2spk: their speakers.
        drop: told the reason and the model or utterance of what is left out.

    Raises:
        ListError: a model is listed twice with different utterances or mixes speakers, or none is left.
    """
    models: dict[str, list[str]] = {}
    written: dict[str, list[str]] = {}
    for number, line in lines:
        model, *words = line.split()
        if written.setdefault(model, words) is not words:
            if written[model] != words:
                what = "is listed twice, with different utterances"
                raise ListError(what, path=path, line=number, utterance=model)
            drop("repeated line", model)
            continue
        members = dict.fromkeys(names.find(word) or word for word in words)
        for name in members:
            if name not in utterances:
                drop("utterance not in the set", name)
        kept = [name for name in members if name in utterances]
        if not kept:
            drop("no utterance", model)
            continue
        models[model] = kept
        if utt2spk is not None:
            model_speaker(model, models, utt2spk, path)
    if not models:
        raise ListError("no model is left: none of their utterances is in the set", path=path)
    return models


def separate_models(trials: Trials) -> tuple[Trials, int]:
    """The same trials with the names of their first sides as entries of their own, from the number returned
    on: a model may have the name of an utterance.
    """
    used, place = np.unique(trials.enrol, return_inverse=True)
    first = len(trials.utterances)
    names = [*trials.utterances, *(trials.utterances[index] for index in used)]
    return Trials(trials.labels, (first + place).astype(np.int32), trials.test, names), first


def own_utterances(trials: Trials, first: int, models: Models) -> np.ndarray:
    """Whether a trial compares a model with an utterance that it was made of, bool ``(N,)``.

    ``trials`` and ``first`` are from :func:`separate_models`.
    """
    index = {name: number for number, name in enumerate(trials.utterances[:first])}
    size = len(trials.utterances)
    own = [
        (first + number) * size + index[name]
        for number, model in enumerate(trials.utterances[first:])
        for name in models.get(model, ())
        if name in index
    ]
    return np.isin(trials.enrol.astype(np.int64) * size + trials.test, own)
