"""A recording that comes through standard input, named ``-``."""

from __future__ import annotations

import os

from svmixer.audio.errors import AudioError

# What a command line calls standard input; a file of that name is ./-
STANDARD_INPUT = "-"
# It is held in memory: 9 hours of 16 bits at 16 kHz.
MOST_BYTES = 1 << 30


def read_standard_input() -> bytes:
    """All that comes through standard input, a pipe or a file.

    Raises:
        AudioError: ``empty``, or ``unreadable``: a terminal, closed, or more than :data:`MOST_BYTES`.
    """
    try:
        if os.isatty(0):
            raise AudioError("unreadable", "standard input is a terminal: send a recording through a pipe")
        with open(0, "rb", closefd=False) as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise AudioError("unreadable", f"standard input: {error.strerror}") from None
    if not data:
        raise AudioError("empty", "nothing came through standard input")
    if len(data) > MOST_BYTES:
        most = f"{MOST_BYTES >> 20} MiB"
        raise AudioError("unreadable", f"more than {most} came through standard input: name a file instead")
    return data
