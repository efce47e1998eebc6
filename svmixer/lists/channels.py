"""``reco2file_and_channel``: which channel of its file a recording is.

A line is Kaldi's and sclite's ``<recording> <file> <channel>``; A or 1 is the first channel of the file, B or
2 the second, 3 the third. Inside the package channels count from 0, as in the fifth field of ``segments``.
"""

from __future__ import annotations

from svmixer.lists.errors import ListError

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
