"""Kaldi tables: UTF-8 text of ``key value`` lines, sorted by key in byte order (``LC_ALL=C sort``).

Readers are strict about what changes the meaning of a line (duplicates, missing values, CRLF, byte-order
marks, other encodings) and lenient about spaces and tabs between the fields. They stream: 1.2 million lines
take about a second.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from svmixer.fileio import atomic_write
from svmixer.lists.errors import ListError, fix_command
from svmixer.text_files import encoding_repair, foreign_text

_BLANKS = " \t"
_BOM = "\ufeff"


def iter_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Lines of a list as (line number from 1, text without its newline).

    Raises:
        ListError: the file cannot be opened, is not UTF-8, starts with a byte-order mark or has carriage
            returns.
    """
    try:
        with open(path, encoding="utf-8", newline="\n") as stream:
            for number, line in enumerate(stream, 1):
                if "\0" in line:
                    refuse_foreign(path)
                if "\r" in line:
                    what = "carriage return (Windows line end)"
                    repair = fix_command(path) or f"sed -i 's/\\r$//' {shlex.quote(str(path))}"
                    raise ListError(what, path=path, line=number, repair=repair)
                if number == 1 and line.startswith(_BOM):
                    raise _fixable("byte-order mark before the first entry", path, number)
                yield number, line[:-1] if line[-1] == "\n" else line
    except UnicodeDecodeError:
        raise encoding_error(path) from None
    except OSError as error:
        raise ListError(f"cannot be read: {error.strerror}", path=path) from None


def iter_table(path: str | Path) -> Iterator[tuple[int, str, str]]:
    """Entries of a table in file order as (line number from 1, key, value).

    The value is everything behind the key, without the blanks around it. Duplicates are not looked for.

    Raises:
        ListError: see :func:`iter_lines`; also a line without key or value, or a key with a control or
            white-space character.
    """
    for number, line in iter_lines(path):
        key, value = split_line(path, number, line)
        yield number, key, value


def split_line(path: str | Path, number: int, line: str) -> tuple[str, str]:
    """Key and value of one line of :func:`iter_lines`; ``path`` and ``number`` are for the error."""
    key, _, value = line.partition(" ")
    value = value.strip(_BLANKS)
    if key and value and key.isprintable():
        return key, value
    text = line.strip(_BLANKS)
    if not text:
        raise _fixable("blank line", path, number)
    key, *rest = re.split("[ \t]+", text, maxsplit=1)
    if not key.isprintable():
        raise ListError(f"white-space or control character inside the id {key!r}", path=path, line=number)
    if not rest:
        raise _fixable("no value behind the id", path, number, key)
    return key, rest[0]


def read_table(path: str | Path) -> dict[str, str]:
    """A whole table as key → value, in file order.

    Raises:
        ListError: see :func:`iter_table`; also a key that is listed twice, and a file without entries.
    """
    table: dict[str, str] = {}
    for number, key, value in iter_table(path):
        if key in table:
            raise duplicate_error(path, number, key, value, table[key])
        table[key] = value
    if not table:
        raise ListError("empty list", path=path)
    return table


def read_utt2spk(path: str | Path) -> dict[str, str]:
    """Utterance → speaker. Utterances of one speaker share one string, which keeps millions of them small.

    Raises:
        ListError: see :func:`read_table`; also more than one word behind an utterance.
    """
    names: dict[str, str] = {}
    table: dict[str, str] = {}
    for number, key, value in iter_table(path):
        if key in table:
            raise duplicate_error(path, number, key, value, table[key])
        table[key] = names.setdefault(value, value)
    for speaker in names:
        if not is_id(speaker):
            utterance = next(key for key, value in table.items() if value == speaker)
            raise ListError(f"expected one speaker, found '{speaker}'", path=path, utterance=utterance)
    if not table:
        raise ListError("empty list", path=path)
    return table


def spk2utt_from(utt2spk: Mapping[str, str]) -> dict[str, list[str]]:
    """Speaker → its utterances; speakers and utterances in byte order."""
    spk2utt: dict[str, list[str]] = {}
    for utterance, speaker in utt2spk.items():
        spk2utt.setdefault(speaker, []).append(utterance)
    return {speaker: sorted(spk2utt[speaker]) for speaker in sorted(spk2utt)}


def write_table(path: str | Path, items: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
    """Write ``key value`` lines sorted by key in byte order, atomically.

    Raises:
        ListError: a key twice, a key with white space, an empty value, or a line break in a value; nothing is
            written.
    """
    # Python orders strings by code point, and UTF-8 keeps that order in its bytes: this is LC_ALL=C.
    entries = sorted(items.items() if isinstance(items, Mapping) else items)
    previous = None
    for key, value in entries:
        if key == previous:
            raise ListError("id is listed twice", path=path, utterance=key)
        if not is_id(key):
            raise ListError(f"{key!r} cannot be an id: empty, or with white space", path=path)
        if not value.strip(_BLANKS) or "\n" in value or "\r" in value:
            raise ListError(f"{value!r} cannot be a value: empty, or a line break", path=path, utterance=key)
        previous = key
    try:
        with atomic_write(path) as stream:
            stream.writelines(f"{key} {value.strip(_BLANKS)}\n" for key, value in entries)
    except UnicodeEncodeError as error:
        raise ListError(f"cannot be written as UTF-8: {error.object[:80]!r}", path=path) from None


def write_spk2utt(path: str | Path, utt2spk: Mapping[str, str]) -> None:
    """Write the ``spk2utt`` that belongs to ``utt2spk``."""
    write_table(path, {speaker: " ".join(members) for speaker, members in spk2utt_from(utt2spk).items()})


def is_id(text: str) -> bool:
    """Whether ``text`` can name an utterance, recording or speaker: one word, without control characters."""
    return bool(text) and " " not in text and text.isprintable()


def duplicate_error(path: str | Path, number: int, key: str, value: str, first: str) -> ListError:
    """The error for ``key`` seen again on line ``number``; only identical lines can be repaired by a tool."""
    if value == first:
        return _fixable("the same line is listed twice", path, number, key)
    what = f"id is listed twice, with different values: '{first}' and '{value}'"
    return ListError(what, path=path, line=number, utterance=key)


def _fixable(what: str, path: str | Path, number: int, utterance: str | None = None) -> ListError:
    return ListError(what, path=path, line=number, utterance=utterance, repair=fix_command(path))


def encoding_error(path: str | Path) -> ListError:
    """Find the line that the decoder stumbled over: it reports a position in its own buffer only.

    Raises:
        ListError: see :func:`refuse_foreign`.
    """
    refuse_foreign(path)
    repair = encoding_repair(path)
    with open(path, "rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                what = f"not UTF-8: byte 0x{line[error.start]:02x} at column {error.start + 1}"
                return ListError(what, path=path, line=number, repair=repair)
    return ListError("not UTF-8", path=path, repair=repair)


def refuse_foreign(path: str | Path) -> None:
    """
    Raises:
        ListError: the file is UTF-16, packed or another thing that is recognised; it names the command that
            makes a list of it.
    """
    found = foreign_text(path)
    if found:
        what, repair = found
        raise ListError(what, path=path, repair=repair)
