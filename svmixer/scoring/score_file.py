"""Score files of any toolkit: with the names of both utterances, with labels, or both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svmixer.lists import ListError, Trials, read_trials, utterance_of_path
from svmixer.lists.table import iter_lines

LABELS = {"1": 1, "0": 0, "target": 1, "nontarget": 0}
FORMS = (
    "'utterance1 utterance2 score', the same with a label behind it or in front of it, or 'score label' "
    "(label 1, 0, target or nontarget)"
)


@dataclass(frozen=True, eq=False)
class ScoreFile:
    """Scores of N trials; ``labels`` and ``pairs`` where the file has them."""

    path: Path
    # float64 (N,)
    scores: np.ndarray
    # int8 (N,), 1 = target
    labels: np.ndarray | None
    # Both names of each trial.
    pairs: list[tuple[str, str]] | None

    def with_trials(self, trials: Trials, path: str | Path) -> tuple[np.ndarray, np.ndarray]:
        """Scores ``(N,)`` and labels ``(N,)`` of a trial list, whatever order the file has.

        A name that is an audio path in one of the two and an utterance id in the other is the same
        (``id1/x/00001.wav``, ``id1-x-00001``). Scores of other trials are left out.

        Raises:
            ListError: the file names no utterances or has two scores of a trial, or a trial has none.
        """
        if self.pairs is None:
            raise ListError("has no names of utterances; leave the trial list out", path=self.path)
        names = trials.utterances
        for convert in (str, utterance_of_path):
            found = self._table(convert)
            wanted = [convert(name) for name in names]
            keys = zip(trials.enrol.tolist(), trials.test.tolist(), strict=True)
            rows = [found.get((wanted[a], wanted[b]), -1) for a, b in keys]
            missing = sum(row < 0 for row in rows)
            if not missing:
                return self.scores[rows], trials.labels
        number = next(number for number, row in enumerate(rows) if row < 0)
        pair = f"{names[trials.enrol[number]]} {names[trials.test[number]]}"
        what = f"{missing} of {len(rows)} trials of {path} have no score, the first is '{pair}'"
        raise ListError(what, path=self.path)

    def _table(self, convert: Callable[[str], str]) -> dict[tuple[str, str], int]:
        """Row of each pair of names."""
        table: dict[tuple[str, str], int] = {}
        for row, (enrol, test) in enumerate(self.pairs or []):
            first = table.setdefault((convert(enrol), convert(test)), row)
            # A trial that a list has twice is scored twice.
            if self.scores[first] != self.scores[row]:
                raise ListError(f"two scores of the trial '{enrol} {test}'", path=self.path, line=row + 1)
        return table


def read_score_file(path: str | Path) -> ScoreFile:
    """Read a score file; its first line tells the form, which is one of ``FORMS``.

    Raises:
        ListError: a line of another form, a score that is no finite number, a label that is none, or an empty
            file.
    """
    scores, labels, pairs = [], [], []
    order: tuple[int, int, int] | None = None
    for number, line in iter_lines(path):
        fields = line.split()
        if order is None:
            order = _order(fields)
            if order is None:
                raise ListError(f"expected {FORMS}, found '{line}'", path=path, line=number)
            width, score_at, label_at = order
        try:
            if len(fields) != width:
                raise ValueError
            score = float(fields[score_at])
            label = LABELS[fields[label_at]] if label_at >= 0 else -1
        except (ValueError, KeyError):
            raise ListError(f"not of the form of the first line: '{line}'", path=path, line=number) from None
        if not np.isfinite(score):
            raise ListError(f"the score is {fields[score_at]}", path=path, line=number)
        scores.append(score)
        labels.append(label)
        if width > 2:
            first = 1 if label_at == 0 else 0
            pairs.append((fields[first], fields[first + 1]))
    if order is None:
        raise ListError("empty list", path=path)
    known = np.array(labels, dtype=np.int8) if order[2] >= 0 else None
    return ScoreFile(Path(path), np.array(scores, dtype=np.float64), known, pairs or None)


def labelled_scores(score_path: str | Path, trial_path: str | Path = "") -> tuple[np.ndarray, np.ndarray]:
    """Scores ``(N,)`` and labels ``(N,)``: of a score file with labels, or with those of a trial list.

    Raises:
        ListError: see :func:`read_score_file`, ``read_trials`` and :meth:`ScoreFile.with_trials`; or a file
            without labels and no trial list.
    """
    found = read_score_file(score_path)
    if trial_path:
        return found.with_trials(read_trials(trial_path), trial_path)
    if found.labels is None:
        raise ListError("has no labels: name the trial list, too", path=score_path)
    return found.scores, found.labels


@dataclass(frozen=True, eq=False)
class ScoredTrials:
    """N trials with the scores of K systems."""

    # float64 (N, K)
    scores: np.ndarray
    # int8 (N,), 1 = target; None: nobody says
    labels: np.ndarray | None
    # Who is compared with whom; None for a file without names. Its labels are 0 where nobody says.
    trials: Trials | None


def read_scored_trials(score_paths: Sequence[str | Path], trial_path: str | Path = "") -> ScoredTrials:
    """Score files of the same trials, one a system, side by side.

    Args:
        score_paths: one at least. Without a trial list, order and labels are those of the first.
        trial_path: the trial list, if there is one.

    Raises:
        ListError: see :func:`read_score_file`, ``read_trials`` and :meth:`ScoreFile.with_trials`.
    """
    first, *others = [read_score_file(path) for path in score_paths]
    if not trial_path and not others and first.pairs is None:
        return ScoredTrials(first.scores[:, None], first.labels, None)
    if trial_path:
        trials, where = read_trials(trial_path), trial_path
    elif first.pairs is None:
        raise ListError("has no names of utterances, so nothing says which trials these are", path=first.path)
    else:
        labels = [0] * len(first.scores) if first.labels is None else first.labels.tolist()
        pairs = first.pairs or []
        trials = Trials.from_rows((label, *pair) for label, pair in zip(labels, pairs, strict=False))
        where = first.path
    columns = [found.with_trials(trials, where)[0] for found in (first, *others)]
    known = trials.labels if trial_path or first.labels is not None else None
    return ScoredTrials(np.stack(columns, axis=1), known, trials)


def _order(fields: list[str]) -> tuple[int, int, int] | None:
    """Number of fields, place of the score, place of the label (-1: none); None: no such form."""

    def number(place: int) -> bool:
        try:
            float(fields[place])
        except ValueError:
            return False
        return True

    if len(fields) == 2 and number(0) and fields[1] in LABELS:
        return 2, 0, 1
    if len(fields) == 3 and number(2):
        return 3, 2, -1
    if len(fields) == 4 and number(2) and fields[3] in LABELS:
        return 4, 2, 3
    if len(fields) == 4 and number(3) and fields[0] in LABELS:
        return 4, 3, 0
    return None
