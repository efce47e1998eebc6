"""The test sets: their trial lists, whose form each has its own, and the recordings that the lists name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from eval_sets import VOX1, EvalSet, Places
from options import CorpusError
from trees import Tails, speaker_of

from svmixer.fileio import md5_file
from svmixer.lists import (
    ListError,
    Trials,
    iter_table,
    utterance_of_path,
    write_spk2utt,
    write_table,
    write_trials,
)
from svmixer.lists.table import iter_lines
from svmixer.lists.trials import parse_trials
from svmixer.log import get_logger

logger = get_logger("trial_sets")

Row = tuple[int, str, str]
# Name in a trial list → (utterance id, file), or None if the file is not there.
Resolver = Callable[[str], "tuple[str, str] | None"]

_VOXCELEB_PATH = re.compile(r"(?:.*/)?(id\d{5}/[^/]+/[^/]+)")
_VOICES_SPEAKER = re.compile(r"sp\d+")
_KEY_LABELS = {"tgt": 1, "imp": 0}
_SHOWN = 5  # names that a message gives as examples


@dataclass(frozen=True)
class Summary:
    """What became of a trial list."""

    name: str
    path: Path
    md5: str
    trials: int
    targets: int
    kept: int
    kept_targets: int
    utterances: int
    speakers: frozenset[str]


def resolver(known: EvalSet, places: Places, voxceleb1: dict[str, str]) -> Resolver:
    """How the names in the set's list become utterances and files."""
    if known.corpora == VOX1:
        return lambda name: _voxceleb(name, voxceleb1)
    if known.name.startswith("voices"):
        part = known.name.removeprefix("voices_")
        return _voices(part, places.files("voices"), places.config.folder("lists"))
    tails = Tails(places.files(known.corpora[-1]))

    def find(name: str) -> tuple[str, str] | None:
        if "voxceleb1" in known.corpora and _VOXCELEB_PATH.fullmatch(name):
            return _voxceleb(name, voxceleb1)
        path = tails.find(name)
        return (utterance_of_path(name.removeprefix("./")), path) if path else None

    return find


def _voxceleb(name: str, utterances: dict[str, str]) -> tuple[str, str] | None:
    match = _VOXCELEB_PATH.fullmatch(name)
    if not match:
        raise CorpusError(f"'{name}': expected idXXXXX/VIDEO/00001.wav")
    utterance = utterance_of_path(match[1])
    return (utterance, utterances[utterance]) if utterance in utterances else None


def _voices(part: str, files: list[str], lists: Path) -> Resolver:
    """For VOiCES: a model stands for the recording that ``<part>-enroll.lst`` gives it, or for itself."""
    enrolled = f"{part}-enroll.lst"
    places = [str(lists / enrolled)] if (lists / enrolled).is_file() else []
    places += [path for path in files if os.path.basename(path) == enrolled]
    models = {name: path.split()[0] for _, name, path in iter_table(places[0])} if places else {}
    inside = [path for path in files if f"/sid_{part}/" in path]
    tails = Tails(inside or files)

    def find(name: str) -> tuple[str, str] | None:
        path = tails.find(models.get(name, name))
        return (os.path.splitext(os.path.basename(path))[0], path) if path else None

    return find


def rows_of(path: Path) -> Iterator[tuple[int, Row]]:
    """(line number, (label, enrolment, test)) of a trial list, names as they stand there.

    The first line tells VOiCES's form, ``model recording tgt|imp``, from those of ``read_trials``.

    Raises:
        ListError: a line of another form.
    """
    lines = iter_lines(path)
    first = next(lines, (1, ""))
    is_key = len(fields := first[1].split()) > 2 and fields[2] in _KEY_LABELS
    if not is_key:
        yield from parse_trials(path, chain([first], lines))
        return
    for number, line in chain([first], lines):
        fields = line.split()
        if len(fields) < 3 or fields[2] not in _KEY_LABELS:
            raise ListError(f"expected 'model recording tgt|imp', found '{line}'", path=path, line=number)
        yield number, (_KEY_LABELS[fields[2]], fields[0], fields[1])


class _Reader:
    """A trial list on its way to utterances: what is dropped is counted."""

    def __init__(self, find: Resolver) -> None:
        self._find = find
        self._known: dict[str, str | None] = {}
        self.files: dict[str, str] = {}
        self.trials = self.targets = self.itself = 0
        self.absent: list[str] = []

    def __call__(self, path: Path, rows: Iterable[tuple[int, Row]]) -> Iterator[Row]:
        for number, (label, *names) in rows:
            self.trials += 1
            self.targets += label
            try:
                enrol, test = map(self._utterance, names)
            except CorpusError as error:
                raise CorpusError(f"{path}:{number}: {error}") from None
            if enrol and enrol == test:
                self.itself += 1
            elif enrol and test:
                yield label, enrol, test

    def _utterance(self, name: str) -> str | None:
        if name not in self._known:
            found = self._find(name)
            if found:
                utterance, path = found
                if self.files.setdefault(utterance, path) != path:
                    raise CorpusError(
                        f"'{name}': {path} and {self.files[utterance]} have one id, {utterance}"
                    )
            else:
                self.absent.append(name)
            self._known[name] = found[0] if found else None
        return self._known[name]


def write_set(folder: Path, known: EvalSet, path: Path, find: Resolver, max_missing: float) -> Summary:
    """Write the data directory of a test set: the recordings that its trials need, and the trials.

    ``utt2spk`` and ``spk2utt`` are written where the corpus names the speakers of all of them.

    Raises:
        ListError, CorpusError: the list is broken, or too many of its trials lack their recordings.
    """
    reader = _Reader(find)
    trials = Trials.from_rows(reader(path, rows_of(path)))
    summary_of = f"{known.name}: {path}"
    _report_count(known, path, reader.trials, reader.targets)
    lost = reader.trials - reader.itself - len(trials)
    if not reader.trials or not len(trials) or lost > max_missing * reader.trials:
        raise CorpusError(
            f"{summary_of}: {lost} of {reader.trials} trials lack a recording ({_examples(reader.absent)}), "
            f"more than --max_missing {max_missing:g} allows"
        )
    if lost:
        logger.warning(
            "%s: %d of %d trials dropped, %d recordings are not there (%s): the figures will not compare",
            *(summary_of, lost, reader.trials, len(reader.absent), _examples(reader.absent)),
        )
    if reader.itself:
        logger.warning("%s: %d trials of a recording against itself dropped", summary_of, reader.itself)
    speakers = _write_lists(folder, trials, reader.files)
    return Summary(
        known.name, path, md5_file(path), reader.trials, reader.targets,
        len(trials), int(trials.labels.sum()), len(trials.utterances), speakers,
    )  # fmt: skip


def _write_lists(folder: Path, trials: Trials, files: dict[str, str]) -> frozenset[str]:
    """Write the lists; the speakers that are known, of all utterances or of some."""
    write_table(folder / "wav.scp", {utterance: files[utterance] for utterance in trials.utterances})
    speakers = {utterance: _speaker(utterance, files[utterance]) for utterance in trials.utterances}
    if all(speakers.values()):
        write_table(folder / "utt2spk", speakers)
        write_spk2utt(folder / "spk2utt", speakers)
    else:
        for name in ("utt2spk", "spk2utt"):
            (folder / name).unlink(missing_ok=True)
    write_trials(folder / "trials", trials)
    return frozenset(speakers.values()) - {""}


def _speaker(utterance: str, path: str) -> str:
    """The speaker by VoxCeleb's ids or VOiCES's folders; empty where nothing says it."""
    if re.match(r"id\d{5}-", utterance):
        return speaker_of(utterance)
    folder = os.path.basename(os.path.dirname(path))
    return folder if _VOICES_SPEAKER.fullmatch(folder) else ""


def _report_count(known: EvalSet, path: Path, trials: int, targets: int) -> None:
    if known.trials and (trials != known.trials or (known.targets and targets != known.targets)):
        expected = f"{known.trials} trials" + (f", {known.targets} targets" if known.targets else "")
        before = known.uncleaned.get(trials)
        logger.warning(
            "%s: %s has %d trials, %d targets; the list of published figures has %s%s: THEY DO NOT COMPARE",
            *(known.name, path, trials, targets, expected),
            f" ({trials} is the number of {before}, the list before cleaning)" if before else "",
        )


def _examples(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
