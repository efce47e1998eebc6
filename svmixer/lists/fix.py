"""Repair a data directory: clean and sort each list, keep what all lists have, make ``spk2utt`` again.

Only what carries no information or has no counterpart is removed, and counted. What needs a decision (an id
with two values, a pair with two labels, a trial with a name that no list has, a line of another form, text
that is not UTF-8) is an error, and then nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from svmixer.lists.check_list import VALUE_CHECKS, ValueCheck, value_checks
from svmixer.lists.enroll_map import ENROLL_MAP, Models, clean_models
from svmixer.lists.errors import ListError
from svmixer.lists.fix_trials import clean_trials
from svmixer.lists.forms import Forms
from svmixer.lists.replace import replace_lists
from svmixer.lists.source import FileProbe
from svmixer.lists.table import duplicate_error, encoding_error, refuse_foreign, spk2utt_from, split_line
from svmixer.lists.trial_names import TrialNames

Table = dict[str, str]


@dataclass(frozen=True)
class Dropped:
    """Lines of one list left out for one reason."""

    # name of the list
    name: str
    # why
    reason: str
    # how many lines
    count: int
    # what the first one was about
    first: str


@dataclass(frozen=True)
class FixReport:
    """What :func:`fix_data_dir` did."""

    # entries of each list now
    sizes: dict[str, int]
    # what was left out
    dropped: list[Dropped]
    # names of the lists that were rewritten or made
    changed: list[str]


def fix_data_dir(data_dir: str | Path, *, check_files: bool = False) -> FixReport:
    """Make a data directory pass :func:`svmixer.lists.validate_data_dir`.

    Byte-order marks, carriage returns, blank lines, tabs and repeated lines go; lists are sorted; ids that
    differ from others in their Unicode form alone take the form of ``wav.scp`` or the segments; utterances,
    speakers and their trials that not all lists know are dropped; ``spk2utt`` is made from ``utt2spk``;
    trials take the form ``1|0 utterance1 utterance2``, audio paths in them become utterance ids (see
    :meth:`svmixer.lists.trial_names.TrialNames.find`), their order and repetitions stay. Another list
    (``utt2lang``, …) that loses all its entries is removed. Models of ``enroll.map`` lose the utterances that
    are dropped, and go with the last one. Originals are kept in ``.backup``; all lists are
    replaced together at the end. A second run changes nothing.

    Args:
        data_dir: the directory.
        check_files: also drop recordings whose file is missing or whose archive ends before their offset.

    Raises:
        ListError: something only the owner of the data can decide, or nothing would be left. Nothing is
        written.
    """
    folder, drops = Path(data_dir), _Drops()
    if not (folder / "wav.scp").exists():
        raise ListError("missing: every data directory has one", path=folder / "wav.scp")
    checks = value_checks(folder)
    if "segments" in checks and "parts" in checks:
        raise ListError("segments and parts exclude each other: keep one", path=folder)
    if checks.pop("spk2utt", None) and "utt2spk" not in checks:
        raise ListError("missing: write one line 'utterance speaker' an utterance", path=folder / "utt2spk")
    tables = {name: _clean_table(folder / name, check, drops) for name, check in checks.items()}
    # As they are before anything is dropped: a trial of an utterance that goes is no riddle.
    listed = dict(tables)
    if check_files:
        _keep(tables, "wav.scp", _absence(), drops)
    utterances = _intersect(tables, checks, drops)
    if not utterances:
        raise ListError(f"no utterance is in all of: {', '.join(checks)}", path=folder)
    lines = {name: _table_lines(table) for name, table in tables.items()}
    sizes = {name: len(table) for name, table in tables.items()}
    if "utt2spk" in tables:
        spk2utt = {speaker: " ".join(members) for speaker, members in spk2utt_from(tables["utt2spk"]).items()}
        lines["spk2utt"], sizes["spk2utt"] = _table_lines(spk2utt), len(spk2utt)
    if (folder / "trials").exists():
        path, names, models = folder / "trials", TrialNames(listed), None
        if (folder / ENROLL_MAP).exists():
            models = _clean_models(folder / ENROLL_MAP, names, tables, drops)
            table = {model: " ".join(members) for model, members in models.items()}
            lines[ENROLL_MAP], sizes[ENROLL_MAP] = _table_lines(table), len(table)
        rows = clean_trials(path, clean_lines(path), names, tables, partial(drops.add, "trials"), models)
        lines["trials"], sizes["trials"] = lambda: (f"{la} {en} {te}\n" for la, en, te in rows), len(rows)
    return FixReport(sizes, drops.report(), replace_lists(folder, lines))


def _clean_models(path: Path, names: TrialNames, tables: dict[str, Table], drops: _Drops) -> Models:
    utterances, speakers = tables[names.base], tables.get("utt2spk")
    return clean_models(path, clean_lines(path), names, utterances, speakers, partial(drops.add, ENROLL_MAP))


class _Drops:
    """Counts left-out lines by list and reason."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], tuple[int, str]] = {}

    def add(self, name: str, reason: str, about: str) -> None:
        count, first = self._counts.get((name, reason), (0, about))
        self._counts[name, reason] = count + 1, first

    def report(self) -> list[Dropped]:
        return [Dropped(name, reason, *counted) for (name, reason), counted in self._counts.items()]


def clean_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines that are not blank, without byte-order mark, carriage returns and outer blanks.

    Raises:
        ListError: no UTF-8 text, or it cannot be read.
    """
    try:
        # Universal newlines: \r\n and \r end a line as \n does.
        with open(path, encoding="utf-8-sig", newline=None) as stream:
            for number, line in enumerate(stream, 1):
                if "\0" in line:
                    refuse_foreign(path)
                text = line.strip(" \t\n")
                if text:
                    yield number, text
    except UnicodeDecodeError:
        raise encoding_error(path) from None
    except OSError as error:
        raise ListError(f"cannot be read: {error.strerror}", path=path) from None


def _clean_table(path: Path, check_value: ValueCheck, drops: _Drops) -> Table:
    table: Table = {}
    for number, line in clean_lines(path):
        if len(line.split(maxsplit=1)) < 2:
            drops.add(path.name, "no value", line)
            continue
        key, value = split_line(path, number, line)
        if key in table:
            if table[key] != value:
                raise duplicate_error(path, number, key, value, table[key])
            drops.add(path.name, "repeated line", key)
            continue
        try:
            for _ in check_value(value):
                pass
        except ListError as error:
            raise ListError(error.what, path=path, line=number, utterance=key) from None
        except ValueError as error:
            drops.add(path.name, "unusable value", f"{key}: {error}")
            continue
        table[key] = value
    return table


def _keep(
    tables: dict[str, Table], name: str, reason_against: Callable[[str, str], str | None], drops: _Drops
) -> None:
    """Leave out the entries of a table that have a reason against them."""
    kept: Table = {}
    for key, value in tables[name].items():
        reason = reason_against(key, value)
        if reason:
            drops.add(name, reason, key)
        else:
            kept[key] = value
    tables[name] = kept


def _absence() -> Callable[[str, str], str | None]:
    probe = FileProbe()
    return lambda _, value: "file is missing" if probe.reason_absent(value) else None


def _not_in(name: str, ids: Container[str]) -> Callable[[str, str], str | None]:
    return lambda key, _: None if key in ids else f"not in {name}"


def _intersect(tables: dict[str, Table], checks: dict[str, ValueCheck], drops: _Drops) -> Container[str]:
    """Keep what all tables have; the utterances that remain."""
    base = next(name for name in ("segments", "parts", "wav.scp") if name in tables)
    _adopt_forms(tables, base)
    if base != "wav.scp":
        # Value checks name recordings by their hashes.
        recordings = set(map(hash, tables["wav.scp"]))

        def stray(_: str, value: str) -> str | None:
            return None if recordings.issuperset(checks[base](value)) else "recording not in wav.scp"

        _keep(tables, base, stray, drops)
    if "utt2spk" in tables:
        _keep(tables, "utt2spk", _not_in(base, tables[base]), drops)
        _keep(tables, base, _not_in("utt2spk", tables["utt2spk"]), drops)
    speakers = set(tables.get("utt2spk", {}).values())
    for name in sorted(tables.keys() - VALUE_CHECKS.keys()):
        if name.startswith("utt2"):
            _keep(tables, name, _not_in(base, tables[base]), drops)
        elif name.startswith("reco2"):
            _keep(tables, name, _not_in("wav.scp", tables["wav.scp"]), drops)
        elif "utt2spk" in tables:
            _keep(tables, name, _not_in("utt2spk", speakers), drops)
    return tables[base].keys()


def _adopt_forms(tables: dict[str, Table], base: str) -> None:
    """Write ids of other lists in the Unicode form that they have where they come from: they print alike.

    Utterances come from ``base``, recordings from ``wav.scp``, speakers from the first line of ``utt2spk``.
    """
    if base != "wav.scp":
        known, recordings = tables["wav.scp"], Forms(tables["wav.scp"])

        def adopted(word: str) -> str:
            return word if word in known else recordings.twin(word) or word

        for key, value in tables[base].items():
            if not value.isascii():
                tables[base][key] = " ".join(map(adopted, value.split()))
    utterances = Forms(tables[base])
    for name in tables:
        if name.startswith("utt2"):
            tables[name] = _renamed(tables[name], tables[base], utterances)
    if "utt2spk" not in tables:
        return
    speakers = Forms(tables["utt2spk"].values())
    tables["utt2spk"] = {key: speakers.twin(value) or value for key, value in tables["utt2spk"].items()}
    known_speakers = set(tables["utt2spk"].values())
    for name in tables:
        if name.startswith("spk2"):
            tables[name] = _renamed(tables[name], known_speakers, speakers)


def _renamed(table: Table, known: Container[str], forms: Forms) -> Table:
    """The table with the keys that are known; one that stands there in both forms keeps the known one."""
    renamed = dict(table)
    for key in table:
        twin = None if key in known else forms.twin(key)
        if twin and twin not in table:
            renamed[twin] = renamed.pop(key)
    return renamed


def _table_lines(table: Table) -> Callable[[], Iterable[str]]:
    return lambda: (f"{key} {value}\n" for key, value in sorted(table.items()))
