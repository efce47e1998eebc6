"""Check a data directory: every list by itself, then the lists against each other."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from svmixer.lists.check_list import VALUE_CHECKS, CheckedList, check_list, value_checks
from svmixer.lists.enroll_map import (
    ENROLL_MAP,
    Models,
    find_enroll_map,
    model_faults,
    own_utterances,
    separate_models,
)
from svmixer.lists.errors import ListError, fix_command, more
from svmixer.lists.forms import Forms, difference
from svmixer.lists.overlap import warn_of_overlap
from svmixer.lists.source import FileProbe
from svmixer.lists.table import iter_table
from svmixer.lists.trial_names import TrialNames
from svmixer.lists.trials import (
    CONFLICTING,
    MISLABELLED,
    UNKNOWN,
    Trials,
    find_trial_faults,
    first_naming,
    read_trials,
)


class DataDirError(ListError):
    """A data directory with problems; ``problems`` has them all, one or more :class:`ListError`."""

    def __init__(self, problems: list[ListError]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))

    def __reduce__(self) -> tuple[object, ...]:
        return (DataDirError, (self.problems,))


@dataclass(frozen=True)
class DataDirSize:
    """How many of each a sound data directory has; 0 where it has no such list."""

    utterances: int
    recordings: int
    speakers: int
    trials: int


def validate_data_dir(
    data_dir: str | Path, *, check_files: bool = False, need_speakers: bool = False
) -> DataDirSize:
    """Check the lists of a data directory.

    They are ``wav.scp``, ``utt2spk``, ``spk2utt``, ``segments`` or ``parts``, ``trials``, ``enroll.map``, any
    other ``utt2*``, ``spk2*`` and ``reco2*``. Recordings that no utterance uses are allowed; so are other
    lists that do not cover every utterance. Two speakers at once in one recording are a warning in the log.

    Args:
        data_dir: the directory; ``wav.scp`` alone is enough (a set of noises).
        check_files: also look whether the files of ``wav.scp`` exist and archives reach to their offsets.
        need_speakers: also require ``utt2spk``.

    Raises:
        DataDirError: with every problem found: a list's own fault by its first place, a fault between lists
            by its first place and the number of further ones.
    """
    folder = Path(data_dir)
    problems = list(_missing_lists(folder, need_speakers))
    lists: dict[str, CheckedList] = {}
    for name, check_value in value_checks(folder).items():
        try:
            lists[name] = check_list(folder / name, check_value)
        except ListError as error:
            problems.append(error)
    trials = None
    if (folder / "trials").exists():
        try:
            trials = read_trials(folder / "trials")
        except ListError as error:
            problems.append(error)
    models = None
    try:
        models = find_enroll_map(folder)
    except ListError as error:
        problems.append(error)
        # Nobody knows what they name.
        trials = None
    # A list with a fault of its own is left out of the comparison: what it lacks would be reported once more.
    problems += _compare(lists, folder, trials, models)
    if check_files and "wav.scp" in lists:
        problems += _absent_files(folder / "wav.scp")
    if problems:
        raise DataDirError(problems)
    warn_of_overlap(folder, lists)
    recordings = lists["wav.scp"]
    utterances = lists.get("segments") or lists.get("parts") or recordings
    speakers = len(lists["spk2utt"].keys) if "spk2utt" in lists else 0
    return DataDirSize(len(utterances.keys), len(recordings.keys), speakers, len(trials or ()))


def _missing_lists(folder: Path, need_speakers: bool) -> Iterator[ListError]:
    if not folder.is_dir():
        yield ListError("no such data directory", path=folder)
        return
    there = {path.name for path in folder.iterdir()}
    if "wav.scp" not in there:
        yield ListError("missing: every data directory has one", path=folder / "wav.scp")
    if {"segments", "parts"} <= there:
        yield ListError("segments and parts exclude each other: keep one", path=folder)
    if "utt2spk" not in there and (need_speakers or "spk2utt" in there):
        yield ListError("missing: write one line 'utterance speaker' an utterance", path=folder / "utt2spk")
    if "utt2spk" in there and "spk2utt" not in there:
        path = folder / "spk2utt"
        yield ListError("missing", path=path, repair=fix_command(path))


def _absent_files(path: Path) -> Iterator[ListError]:
    probe, first, count = FileProbe(), None, 0
    for number, recording, value in iter_table(path):
        reason = probe.reason_absent(value)
        if reason:
            first, count = first or (number, recording, reason), count + 1
    if first:
        number, recording, reason = first
        what = reason + more(count)
        repair = fix_command(path, "--check_files true")
        yield ListError(what, path=path, line=number, utterance=recording, repair=repair)


def _compare(
    lists: dict[str, CheckedList], folder: Path, trials: Trials | None, models: Models | None
) -> Iterator[ListError]:
    recordings, utt2spk = lists.get("wav.scp"), lists.get("utt2spk")
    pieces = lists.get("segments") or lists.get("parts")
    has_pieces = (folder / "segments").exists() or (folder / "parts").exists()
    utterances = pieces if has_pieces else recordings
    if pieces and recordings:
        yield from _outside(pieces, pieces.named, recordings, "recording of the utterance is not in wav.scp")
    if utt2spk:
        yield from _check_speaker_forms(utt2spk)
    if utterances and utt2spk:
        yield from _outside(utt2spk, utt2spk.keys, utterances, f"not in {utterances.path.name}")
        yield from _outside(utterances, utterances.keys, utt2spk, "not in utt2spk")
    if utt2spk and "spk2utt" in lists:
        yield from _compare_speakers(utt2spk, lists["spk2utt"])
    wholes = {"utt2": utterances, "spk2": lists.get("spk2utt"), "reco": recordings}
    for name in sorted(lists.keys() - VALUE_CHECKS.keys()):
        whole = wholes[name[:4]]
        if whole:
            yield from _outside(lists[name], lists[name].keys, whole, f"not in {whole.path.name}")
    if models and utterances:
        yield from _check_models(folder / ENROLL_MAP, models, utterances, utt2spk)
    if trials and utterances:
        yield from _check_trials(folder / "trials", trials, utterances, utt2spk, lists, models)


def _outside(column: CheckedList, ids: np.ndarray, other: CheckedList, what: str) -> Iterator[ListError]:
    """A problem if any of ``ids`` (keys or named ids of ``column``) is not a key of ``other``."""
    # Two sorted lists of the same ids are equal place by place, which is the usual case and quick to see.
    if np.array_equal(ids, other.keys):
        return
    absent = np.flatnonzero(~np.isin(ids, other.keys))
    if len(absent):
        entry = int(absent[0] if ids is column.keys else column.named_by[absent[0]])
        key = column.key_at(entry)
        names = [key] if ids is column.keys else _value_at(column, entry).split()
        note = _form_note(names, other)
        yield _problem(column.path, entry + 1, key, what, len(absent), note=note)


def _value_at(column: CheckedList, entry: int) -> str:
    return next(value for number, _, value in iter_table(column.path) if number == entry + 1)


def _form_note(names: list[str], other: CheckedList) -> str:
    """How the first of ``names`` differs from a key of ``other`` that prints alike, if there is one."""
    if all(map(str.isascii, names)):
        return ""
    known = [key for _, key, _ in iter_table(other.path)]
    forms = Forms(known)
    twins = ((name, forms.twin(name)) for name in names if name not in set(known))
    return next((difference(name, twin, other.path.name) for name, twin in twins if twin), "")


def _check_speaker_forms(utt2spk: CheckedList) -> Iterator[ListError]:
    """A problem if two speakers print alike."""
    if utt2spk.ascii:
        return
    seen: dict[str, str] = {}
    for number, utterance, speaker in iter_table(utt2spk.path):
        first = seen.setdefault(unicodedata.normalize("NFC", speaker), speaker)
        if first != speaker:
            what = f"speaker {speaker} {difference(speaker, first, 'an earlier line')}"
            yield _problem(utt2spk.path, number, utterance, what, 1)
            return


def _compare_speakers(utt2spk: CheckedList, spk2utt: CheckedList) -> Iterator[ListError]:
    """A problem unless both have the same pairs of utterance and speaker, each once."""
    forward = _pair(utt2spk.keys, utt2spk.named)
    backward = _pair(spk2utt.named, spk2utt.keys[spk2utt.named_by])
    if np.array_equal(np.sort(forward), np.sort(backward)):
        return
    absent = np.flatnonzero(~np.isin(forward, backward))
    if len(absent):
        entry = int(absent[0])
        yield _problem(utt2spk.path, entry + 1, utt2spk.key_at(entry), "spk2utt says otherwise", len(absent))
    else:
        what = "names utterances twice or that utt2spk gives to another speaker"
        yield ListError(what, path=spk2utt.path, repair=fix_command(spk2utt.path))


def _pair(utterances: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """One number a pair; a large odd factor keeps equal sums from different pairs as rare as equal hashes."""
    return utterances.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + speakers.astype(np.uint64)


def _check_trials(
    path: Path,
    trials: Trials,
    utterances: CheckedList,
    utt2spk: CheckedList | None,
    lists: Collection[str],
    models: Models | None,
) -> Iterator[ListError]:
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
    if models:
        # What is wrong with the models themselves is told elsewhere.
        known[first:] = True
        strange = np.array([n >= first and m not in models for n, m in enumerate(trials.utterances)])
        found = first_naming(trials, strange)
        if found:
            what = f"trial with a model that {ENROLL_MAP} does not have"
            yield _problem(path, found.row + 1, found.name, what, found.trials, fixable=False)
    faults = find_trial_faults(trials, known, speakers)
    if models:
        faults = replace(faults, itself=own_utterances(trials, first, models))
    if faults.unknown.any():
        yield from _unknown_names(path, trials, known, TrialNames.read(path.parent, lists))
    for mask, what, fixable in (
        (faults.itself, "trial of an utterance against itself", True),
        (faults.conflicting, CONFLICTING, False),
        (faults.mislabelled, MISLABELLED, False),
    ):
        rows = np.flatnonzero(mask)
        if len(rows):
            row = int(rows[0])
            yield _problem(path, row + 1, trials.utterances[trials.enrol[row]], what, len(rows), fixable)


def _check_models(
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
            yield _problem(path, found.row + 1, found.name, UNKNOWN, found.trials, fixable, note)


def _problem(
    path: Path, line: int, utterance: str, what: str, count: int, fixable: bool = True, note: str = ""
) -> ListError:
    """A fault that ``count`` lines have, by its first; ``note`` says more about that one."""
    repair = fix_command(path) if fixable else None
    text = what + more(count) + (f": {note}" if note else "")
    return ListError(text, path=path, line=line, utterance=utterance, repair=repair)
