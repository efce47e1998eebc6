"""Check one list by itself, keeping hashes of its ids for comparing it with the others.

A list is read once, as a stream. What is kept is a 64-bit hash an id (Python's string hash: two different
ids among a million share one with a probability of 3e-8, and then at worst one problem goes unseen), so 1.2
million utterances need tens of megabytes. Entry i of a sound list stands on line i + 1: this finds the id
again.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from svmixer.lists.errors import ListError, fix_command
from svmixer.lists.segments import RECORDING_CHANNELS, parse_pieces, parse_recording_channel
from svmixer.lists.source import check_source, one_spelling
from svmixer.lists.table import duplicate_error, is_id, iter_lines, split_line

# From the value of a line to hashes of the ids it names; ValueError for a value that cannot be right.
ValueCheck = Callable[[str], Iterable[int]]


@dataclass(frozen=True, eq=False)
class CheckedList:
    """A list without faults of its own: N entries that name M ids."""

    path: Path
    # int64 (N,), hash of each key
    keys: np.ndarray
    # int64 (M,), hash of each id named in the values
    named: np.ndarray
    # int64 (M,), which entry names it
    named_by: np.ndarray
    # whether all of it is ASCII
    ascii: bool

    def key_at(self, entry: int) -> str:
        """The key of entry ``entry``, read again from the file."""
        number, line = next(islice(iter_lines(self.path), entry, None))
        return split_line(self.path, number, line)[0]


def check_list(path: str | Path, check_value: ValueCheck) -> CheckedList:
    """Check form, order and values of a list.

    Raises:
        ListError: the first fault: whatever :func:`svmixer.lists.iter_table` refuses, a tab or leading
            blank, a key that is repeated or out of byte order, a value that ``check_value`` refuses, no
            entries.
    """
    keys, named, named_by = array("q"), array("q"), array("q")
    last_key, last_value, ascii_only = "", "", True
    for number, line in iter_lines(path):
        key, value = split_line(path, number, line)
        if key <= last_key:
            raise _order_error(path, number, key, value, last_key, last_value)
        if not line.startswith(key + " "):
            what = "tab or leading blank: one space separates the fields"
            raise ListError(what, path=path, line=number, utterance=key, repair=fix_command(path))
        try:
            for value_hash in check_value(value):
                named.append(value_hash)
                named_by.append(number - 1)
        except ListError as error:
            raise ListError(error.what, path=path, line=number, utterance=key, repair=error.repair) from None
        except ValueError as error:
            what, repair = str(error), fix_command(path)
            raise ListError(what, path=path, line=number, utterance=key, repair=repair) from None
        keys.append(hash(key))
        ascii_only = ascii_only and line.isascii()
        last_key, last_value = key, value
    if not keys:
        raise ListError("empty list", path=path)
    return CheckedList(Path(path), np.asarray(keys), np.asarray(named), np.asarray(named_by), ascii_only)


def any_value(value: str) -> Iterable[int]:
    """For lists whose values have no meaning here."""
    return ()


def one_id(value: str) -> Iterable[int]:
    """For ``utt2spk``."""
    if not is_id(value):
        raise ListError(f"expected one speaker, found '{value}'")
    return (hash(value),)


def several_ids(value: str) -> Iterable[int]:
    """For ``spk2utt``."""
    return map(hash, value.split())


def one_piece(value: str) -> Iterable[int]:
    """For ``segments``: the recording."""
    return (hash(piece[0]) for piece in parse_pieces(value, single=True))


def pieces(value: str) -> Iterable[int]:
    """For ``parts``: the recordings."""
    return (hash(piece[0]) for piece in parse_pieces(value, single=False))


def recording_source(value: str) -> Iterable[int]:
    """For ``wav.scp``: the source, in one spelling."""
    check_source(value)
    return (hash(one_spelling(value)),)


def one_channel(value: str) -> Iterable[int]:
    """For ``reco2file_and_channel``."""
    parse_recording_channel(value)
    return ()


# What the tool knows about values; lists of other names hold whatever their makers want.
VALUE_CHECKS: dict[str, ValueCheck] = {
    "wav.scp": recording_source,
    "segments": one_piece,
    "parts": pieces,
    "utt2spk": one_id,
    "spk2utt": several_ids,
}


# Lists about the utterances, speakers and recordings of the others; not ``utt2spk~`` and ``utt2spk.bak``.
_FOLLOWING = re.compile(r"(?:utt|spk|reco)2\w+")


def value_checks(folder: Path) -> dict[str, ValueCheck]:
    """The tables of a data directory that are there, each with its check of values.

    Besides the known ones these are all ``utt2*``, ``spk2*`` and ``reco2*`` (``utt2lang``, ``spk2gender``,
    ``reco2dur``).
    """
    known = {name: check for name, check in VALUE_CHECKS.items() if (folder / name).exists()}
    found = (path.name for path in folder.glob("*2*") if path.is_file())
    others = sorted(name for name in found if _FOLLOWING.fullmatch(name) and name not in known)
    return known | {name: one_channel if name == RECORDING_CHANNELS else any_value for name in others}


def _order_error(
    path: str | Path, number: int, key: str, value: str, last_key: str, last_value: str
) -> ListError:
    if key == last_key:
        return duplicate_error(path, number, key, value, last_value)
    what = f"not sorted: stands behind {last_key} (order: LC_ALL=C sort)"
    return ListError(what, path=path, line=number, utterance=key, repair=fix_command(path))
