"""Speaker models of several utterances: ``enroll.map`` with lines ``model utterance1 utterance2 …``.

Where a set has one, the first column of its ``trials`` names models; each is the mean of its utterances.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from svmixer.lists.errors import ListError
from svmixer.lists.table import iter_table

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
