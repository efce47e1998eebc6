"""Trial lists: pairs of utterances with the label target (same speaker) or nontarget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from svmixer.fileio import atomic_write
from svmixer.lists.errors import ListError, fix_command
from svmixer.lists.table import is_id, iter_lines

_LABELS = {"1": 1, "0": 0, "target": 1, "nontarget": 0}
_WORDS = {"target": 1, "nontarget": 0}

Row = tuple[int, str, str]


@dataclass(frozen=True, eq=False)
class Trials:
    """N trials, with utterances as indices so that millions of trials stay small."""

    # int8 (N,), 1 = target (same speaker), 0 = nontarget
    labels: np.ndarray
    # int32 (N,), index of the enrolment utterance in `utterances`
    enrol: np.ndarray
    # int32 (N,), index of the test utterance in `utterances`
    test: np.ndarray
    # every utterance once, in order of first appearance
    utterances: list[str]

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self) -> Iterator[Row]:
        """(label, enrolment utterance, test utterance) of each trial, in order."""
        names = self.utterances
        columns = (self.labels.tolist(), self.enrol.tolist(), self.test.tolist())
        for label, enrol, test in zip(*columns, strict=True):
            yield label, names[enrol], names[test]

    @classmethod
    def from_rows(cls, rows: Iterable[Row]) -> Trials:
        """Trials from (label, enrolment utterance, test utterance)."""
        index: dict[str, int] = {}
        # One flat array that grows as it fills: a list of tuples would take ten times the memory.
        flat = np.fromiter(_flatten(rows, index), dtype=np.int32).reshape(-1, 3)
        return cls(flat[:, 0].astype(np.int8), flat[:, 1].copy(), flat[:, 2].copy(), list(index))


def read_trials(path: str | Path, to_utterance: Callable[[str], str] | None = None) -> Trials:
    """Read a trial list in any of its usual forms, told apart by the first line.

    - ``label utterance1 utterance2`` with label 1/0 or target/nontarget (ESPnet);
    - the same with audio paths (VoxCeleb), turned into utterance ids by ``to_utterance=utterance_of_path``;
    - ``utterance1 utterance2 target|nontarget`` (Kaldi).

    Args:
        path: the list.
        to_utterance: applied to both names of every trial.

    Raises:
        ListError: see :func:`svmixer.lists.table.iter_lines`; also a line of another form, and a list without
            trials.
    """
    trials = Trials.from_rows(row for _, row in parse_trials(path, iter_lines(path), to_utterance))
    if not len(trials):
        raise ListError("empty list", path=path)
    return trials


def parse_trials(
    path: str | Path, lines: Iterable[tuple[int, str]], to_utterance: Callable[[str], str] | None = None
) -> Iterator[tuple[int, Row]]:
    """(line number, (label, enrolment utterance, test utterance)) of numbered lines; ``path`` is for errors.

    See :func:`read_trials` for the forms and errors.
    """
    label_last = None
    for number, line in lines:
        fields = line.split()
        if label_last is None:
            label_last = len(fields) == 3 and fields[2] in _WORDS and fields[0] not in _WORDS
        try:
            if label_last:
                enrol, test, word = fields
                label = _WORDS[word]
            else:
                word, enrol, test = fields
                label = _LABELS[word]
        except (ValueError, KeyError):
            raise _form_error(path, number, line, label_last) from None
        if to_utterance:
            enrol, test = to_utterance(enrol), to_utterance(test)
        yield number, (label, enrol, test)


def utterance_of_path(path: str) -> str:
    """The utterance id of an audio path: folders joined by dashes, suffix dropped, as is usual for VoxCeleb.

    >>> utterance_of_path("id10270/x6uYqmx31kE/00001.wav")
    'id10270-x6uYqmx31kE-00001'
    """
    stem, dot, suffix = path.rpartition(".")
    return (stem if dot and "/" not in suffix else path).replace("/", "-")


def write_trials(path: str | Path, trials: Trials) -> None:
    """Write ``label utterance1 utterance2`` lines (label 1 or 0) in the order given, atomically.

    Raises:
        ListError: an utterance id is empty or has white space; nothing is written.
    """
    for utterance in trials.utterances:
        if not is_id(utterance):
            raise ListError(f"{utterance!r} cannot be an utterance id", path=path)
    with atomic_write(path) as stream:
        stream.writelines(f"{label} {enrol} {test}\n" for label, enrol, test in trials.rows())


def _flatten(rows: Iterable[Row], index: dict[str, int]) -> Iterator[int]:
    for label, enrol, test in rows:
        yield label
        yield index.setdefault(enrol, len(index))
        yield index.setdefault(test, len(index))


def _form_error(path: str | Path, number: int, line: str, label_last: bool) -> ListError:
    if not line.strip():
        return ListError("blank line", path=path, line=number, repair=fix_command(path))
    form = "utterance1 utterance2 target|nontarget" if label_last else "1|0 utterance1 utterance2"
    return ListError(f"expected '{form}', found '{line}'", path=path, line=number)


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
