"""Utterances that are not whole recordings: ``segments`` (one piece) and ``parts`` (several pieces joined).

``segments`` is Kaldi's: ``<utterance> <recording> <start> <end> [<channel>]``, the channel counted from 0.
``parts`` has one or more triples a line: ``<utterance> <recording> <start> <end> [<recording> <start> <end>
…]``; only ``reco2file_and_channel`` names channels for it. Times are in seconds; an end of -1 is the end of
the recording.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from svmixer.lists.errors import ListError, fix_command
from svmixer.lists.table import duplicate_error, iter_table, write_table

# (recording, start, end), and the channel where the line names one.
Piece = tuple[str, float, float] | tuple[str, float, float, int]


def read_segments(path: str | Path) -> dict[str, Piece]:
    """Utterance → (recording, start, end) in seconds, end -1 = to the end; a channel that the line names is
    the fourth.

    Raises:
        ListError: see :func:`svmixer.lists.read_table`; also a line without three or four fields behind the
            utterance, a time that is not a number, a negative start, an end that is not after the start, or a
            channel that is not a number from 0.
    """
    table: dict[str, Piece] = {}
    for number, utterance, pieces in iter_pieces(path, single=True):
        if utterance in table:
            raise duplicate_error(path, number, utterance, _text(pieces), _text([table[utterance]]))
        table[utterance] = pieces[0]
    if not table:
        raise ListError("empty list", path=path)
    return table


def read_parts(path: str | Path) -> dict[str, list[Piece]]:
    """Utterance → its pieces (recording, start, end) in the order they are joined; end -1 = to the end.

    Raises:
        ListError: as :func:`read_segments`, with one or more triples behind the utterance and no channel.
    """
    table: dict[str, list[Piece]] = {}
    for number, utterance, pieces in iter_pieces(path, single=False):
        if utterance in table:
            raise duplicate_error(path, number, utterance, _text(pieces), _text(table[utterance]))
        table[utterance] = pieces
    if not table:
        raise ListError("empty list", path=path)
    return table


def write_parts(path: str | Path, parts: Mapping[str, Sequence[Piece]]) -> None:
    """Write a ``parts`` list, sorted and atomic; times keep their shortest exact form."""
    write_table(path, {utterance: _text(pieces) for utterance, pieces in parts.items()})


def iter_pieces(path: str | Path, *, single: bool) -> Iterator[tuple[int, str, list[Piece]]]:
    """(line number, utterance, pieces) of ``segments`` (``single``) or ``parts``, in file order."""
    for number, utterance, value in iter_table(path):
        try:
            yield number, utterance, parse_pieces(value, single=single)
        except ListError as error:
            raise ListError(error.what, path=path, line=number, utterance=utterance) from None
        except ValueError as error:
            what, repair = str(error), fix_command(path)
            raise ListError(what, path=path, line=number, utterance=utterance, repair=repair) from None


def parse_pieces(value: str, *, single: bool) -> list[Piece]:
    """The pieces of one line.

    Raises:
        ListError: the line has another form, or its times or channel are no numbers: only its owner knows
            what is meant.
        ValueError: there is nothing between its times.
    """
    fields = value.split()
    if single and len(fields) in (3, 4):
        piece = _piece(*fields[:3])
        return [piece] if len(fields) == 3 else [(*piece, _channel(fields[3]))]
    if single or not fields or len(fields) % 3:
        expected = "<recording> <start> <end>" + ("" if single else " once or more")
        more = "; a channel may follow" if single else ""
        raise ListError(f"expected {expected}, found '{value}'{more}")
    return [_piece(*fields[i : i + 3]) for i in range(0, len(fields), 3)]


def _piece(recording: str, start_text: str, end_text: str) -> tuple[str, float, float]:
    try:
        start, end = float(start_text), float(end_text)
    except ValueError:
        raise ListError(f"'{start_text} {end_text}' are not times in seconds") from None
    if not (math.isfinite(start) and math.isfinite(end)) or start < 0:
        raise ValueError(f"start {start_text} and end {end_text} must be finite, and the start not negative")
    if end != -1 and end <= start:
        raise ValueError(f"end {end_text} is not after start {start_text}")
    return recording, start, end


def _channel(text: str) -> int:
    channel = channel_number(text)
    if channel is None:
        raise ListError(f"channel '{text}' is not a number from 0 (A, the first channel, is 0; B is 1)")
    return channel


def _text(pieces: Sequence[Piece]) -> str:
    return " ".join(
        " ".join([recording, _time(start), _time(end), *map(str, channel)])
        for recording, start, end, *channel in pieces
    )


def _time(seconds: float) -> str:
    return repr(int(seconds)) if seconds == int(seconds) else repr(float(seconds))


RECORDING_CHANNELS = "reco2file_and_channel"
_LETTERS = {"A": 0, "B": 1}
_DIGITS = 4  # more than any recording has channels


def parse_recording_channel(value: str) -> int:
    """The channel, from 0, in what stands behind a recording.

    Raises:
        ListError: not two fields, or the channel is neither A, B nor a number from 1.
    """
    fields = value.split()
    if len(fields) != 2:
        raise ListError(f"expected <recording> <file> <channel>, found '{value}' behind the recording")
    channel = channel_number(fields[1])
    if fields[1] in _LETTERS:
        return _LETTERS[fields[1]]
    if not channel:
        raise ListError(f"channel '{fields[1]}' is neither A, B nor a number from 1 (A or 1 is the first)")
    return channel - 1


def channel_number(text: str) -> int | None:
    """``text`` as a number from 0; ``None`` if it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None
