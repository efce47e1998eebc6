"""Two speakers at the same time in what is read of one recording: utterances that hold both voices.

This is how a telephone call looks whose two channels are not told apart. Speakers that take turns are none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from svmixer.lists.check_list import CheckedList, check_list, value_checks
from svmixer.lists.errors import ListError
from svmixer.lists.segments import RECORDING_CHANNELS, iter_pieces, parse_recording_channel
from svmixer.lists.table import iter_table
from svmixer.log import get_logger

logger = get_logger(__name__)

_LISTS = ("wav.scp", "segments", "parts", "utt2spk", RECORDING_CHANNELS)


class _Turn(NamedTuple):
    utterance: str
    recording: str
    start: float  # seconds
    end: float  # seconds; infinite: to the end
    channel: int | None  # None: all of them, mixed
    speaker: int  # hash


@dataclass(frozen=True)
class Overlap:
    """Where speakers overlap."""

    # how many recordings (sources of wav.scp)
    recordings: int
    # two utterances of the first of them
    utterances: tuple[str, str]
    # recording of the second utterance
    recording: str


def warn_of_overlap(folder: Path, lists: Mapping[str, CheckedList]) -> None:
    """One line in the log where speakers overlap; nothing without ``utt2spk``."""
    overlap = find_overlap(folder, lists)
    if overlap:
        logger.warning(
            "%s: different speakers at the same time in %d of its recordings, first in %s: utterances %s and "
            "%s. Each holds both voices; name the channels where speakers have their own: docs/own_data.md",
            *(folder, overlap.recordings, overlap.recording, *overlap.utterances),
        )


def sound_lists(folder: Path) -> dict[str, CheckedList]:
    """The lists that :func:`find_overlap` needs; one with a fault is left out."""
    lists = {}
    for name, check in value_checks(folder).items():
        try:
            if name in _LISTS:
                lists[name] = check_list(folder / name, check)
        except ListError:
            continue
    return lists


def find_overlap(folder: Path, lists: Mapping[str, CheckedList]) -> Overlap | None:
    """Utterances of different speakers that overlap in one source, in one channel or without a channel.

    Args:
        folder: the data directory.
        lists: its lists, checked one by one; utterances and recordings that another list lacks do not count.
    """
    recordings, utt2spk = lists.get("wav.scp"), lists.get("utt2spk")
    utterances = lists.get("segments") or lists.get("parts") or recordings
    if not (recordings and utt2spk and utterances):
        return None
    if utterances is recordings:
        named, entries = recordings.keys, np.arange(len(recordings.keys))
    else:
        named, entries = utterances.named, utterances.named_by
    sources, listed = _look_up(recordings.keys, recordings.named, named)
    speakers, spoken = _look_up(utt2spk.keys, utt2spk.named, utterances.keys[entries])
    shared = _of_several(sources, speakers, listed & spoken)
    if not shared.any():
        return None
    turns: dict[int, list[_Turn]] = {}
    spans = _spans(utterances.path, _channels(folder, lists))
    for span, source, speaker, of_several in zip(spans, sources, speakers, shared.tolist(), strict=True):
        if of_several:
            turns.setdefault(int(source), []).append(_Turn(*span, int(speaker)))
    pairs = [pair for pair in map(_first_pair, turns.values()) if pair]
    if not pairs:
        return None
    first, second = pairs[0]
    return Overlap(len(pairs), (first.utterance, second.utterance), second.recording)


def _look_up(keys: np.ndarray, values: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The value of each id, and which ids are known: int64 (N,) and bool (N,)."""
    order = np.argsort(keys)
    place = order[np.searchsorted(keys, ids, sorter=order).clip(max=len(order) - 1)]
    return values[place], keys[place] == ids


def _of_several(sources: np.ndarray, speakers: np.ndarray, known: np.ndarray) -> np.ndarray:
    """bool (N,): known pieces whose source has pieces of more than one speaker."""
    rows = np.flatnonzero(known)
    order = rows[np.argsort(sources[rows])]
    first = np.flatnonzero(np.diff(sources[order], prepend=sources[order[:1]] + 1))
    shared = np.zeros(len(sources), dtype=bool)
    # Mostly every recording is one utterance.
    if len(first) < len(order):
        low, high = (ufunc.reduceat(speakers[order], first) for ufunc in (np.minimum, np.maximum))
        shared[order] = np.repeat(low != high, np.diff(first, append=len(order)))
    return shared


def _channels(folder: Path, lists: Mapping[str, CheckedList]) -> dict[str, int]:
    if RECORDING_CHANNELS not in lists:
        return {}
    table = iter_table(folder / RECORDING_CHANNELS)
    return {recording: parse_recording_channel(value) for _, recording, value in table}


def _spans(path: Path, channels: Mapping[str, int]) -> Iterator[tuple[str, str, float, float, int | None]]:
    """The pieces of all utterances in list order: all of a :class:`_Turn` but the speaker."""
    if path.name == "wav.scp":
        for _, name, _ in iter_table(path):
            yield name, name, 0.0, math.inf, channels.get(name)
        return
    for _, utterance, pieces in iter_pieces(path, single=path.name == "segments"):
        for recording, start, end, *named in pieces:
            channel = named[0] if named else channels.get(recording)
            yield utterance, recording, start, math.inf if end < 0 else end, channel


def _first_pair(turns: list[_Turn]) -> tuple[_Turn, _Turn] | None:
    """The first two of one source that overlap and are not told apart."""
    # The latest end of each speaker in each channel is enough.
    open_turns: dict[tuple[int, int | None], _Turn] = {}
    for turn in sorted(turns, key=lambda turn: (turn.start, turn.utterance)):
        open_turns = {key: other for key, other in open_turns.items() if other.end > turn.start}
        for other in open_turns.values():
            one_signal = other.channel == turn.channel or None in (other.channel, turn.channel)
            if other.speaker != turn.speaker and one_signal:
                return other, turn
        key = turn.speaker, turn.channel
        if key not in open_turns or open_turns[key].end < turn.end:
            open_turns[key] = turn
    return None
