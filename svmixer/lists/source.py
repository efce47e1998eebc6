"""Where the samples of a recording are: the right-hand side of a ``wav.scp`` line."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from svmixer.lists.errors import ListError

_OFFSET_DIGITS = 18  # what positions in files can have


@dataclass(frozen=True, slots=True)
class Source:
    """One recording's place: a file, a position in an archive, or a command whose standard output is read."""

    # file | ark | pipe
    kind: Literal["file", "ark", "pipe"]
    # File or archive; empty for a pipe.
    path: str = ""
    # Byte position of the entry inside the archive; 0 for the others.
    offset: int = 0
    # Shell command without its closing bar; empty unless a pipe.
    command: str = ""


def parse_source(text: str) -> Source:
    """Take ``FILE``, ``ARCHIVE:OFFSET`` or ``COMMAND |`` apart, as Kaldi reads them.

    Nothing is opened or run.

    Raises:
        ListError: see :func:`check_source`.
    """
    text = text.strip()
    check_source(text)
    if text.endswith("|"):
        return Source("pipe", command=text[:-1].strip())
    archive, _, offset = text.rpartition(":")
    if archive and offset.isascii() and offset.isdigit():
        return Source("ark", path=archive, offset=int(offset))
    return Source("file", path=text)


def find_source(text: str) -> Source:
    """As :func:`parse_source`, but ``call_12:30`` is the file of that name where there is one.

    Raises:
        ListError: see :func:`check_source`.
    """
    text = text.strip()
    archive, _, offset = text.rpartition(":")
    if archive and offset.isascii() and offset.isdigit() and is_file(text):
        return Source("file", path=text)
    return parse_source(text)


def is_file(path: str) -> bool:
    """Whether there is something to read: a file, a named pipe; no folder."""
    return os.path.exists(path) and not os.path.isdir(path)


def check_source(text: str) -> None:
    """The checks of :func:`parse_source` alone.

    Raises:
        ListError: empty, a bar without a command, a command to write to (``| …``), ``-`` (standard input), a
            zero byte, which no file name and no command can have, or a position that no file has.
    """
    if not text or text == "-" or text[0] == "|" or "\0" in text:
        raise ListError(f"'{text}' is not a recording: expected FILE, ARCHIVE:OFFSET or COMMAND |")
    archive, _, offset = text.rpartition(":")
    if archive and len(offset) > _OFFSET_DIGITS and offset.isascii() and offset.isdigit():
        raise ListError(f"'{text[:80]}' names a byte beyond the end of any file")


def one_spelling(text: str) -> str:
    """The source with its path absolute and without ``.`` and ``..``: equal for all spellings of one file."""
    return text if text.endswith("|") else os.path.abspath(text)


class FileProbe:
    """Looks whether sources are there. Remembers the last archive: its entries mostly stand together."""

    def __init__(self) -> None:
        self._archive, self._size = "", -1

    def reason_absent(self, text: str) -> str | None:
        """Why the recording cannot be opened, or ``None``. Commands are not run: a pipe always passes.

        Raises:
            ListError: as :func:`parse_source`.
        """
        source = parse_source(text)  # not `find_source`: an archive's entries would cost a look each
        if source.kind == "file":
            return None if is_file(source.path) else f"no such file: {source.path}"
        if source.kind == "ark":
            if source.path != self._archive:
                self._archive = source.path
                self._size = os.path.getsize(source.path) if os.path.isfile(source.path) else -1
            if source.offset < self._size or is_file(text.strip()):
                return None
            if self._size < 0:
                return f"no such file: {source.path} (byte {source.offset} of an archive)"
            return f"archive {source.path} ends before byte {source.offset}"
        return None
