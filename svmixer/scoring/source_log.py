"""Which recording each embedding of a directory was made from: one that was replaced is embedded anew."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO

from svmixer.fileio import md5_file
from svmixer.log import one_line

NAME = "sources.tsv"

Mark = tuple[str, str, str]


class SourceLog:
    """``sources.tsv``: a line for each embedding as it is written; the last one of a name counts.

    The fields are size and time of change (ns) of the recording, the MD5 of its bytes, and the name. While
    size and time are the same the bytes are not read. Embeddings without the file were made before there was
    one: they count as current, and are put down. Used as a context, which keeps the file open.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / NAME
        self._adopts = not self._path.exists()
        self._rows: dict[str, Mark] = dict(self._read())
        self._stream: IO[str] | None = None

    def _read(self) -> list[tuple[str, Mark]]:
        with contextlib.suppress(FileNotFoundError):
            # Behind the last line end is what a run that was killed did not finish.
            rows = (line.split("\t", 3) for line in self._path.read_text(encoding="utf-8").split("\n")[:-1])
            return [(row[3], (row[0], row[1], row[2])) for row in rows if len(row) == 4]
        return []

    def __enter__(self) -> SourceLog:
        self._stream = open(self._path, "a", encoding="utf-8")
        # The half line of a run that was killed would take the next one with it.
        os.truncate(self._path, self._path.read_bytes().rfind(b"\n") + 1)
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def names(self) -> set[str]:
        """Of all embeddings that were put down."""
        return set(self._rows)

    def mark(self, path: str | Path) -> Mark:
        """What tells the recording from another under its name."""
        return (*_stamp(path), md5_file(path))

    def holds(self, name: str, path: Path) -> bool:
        """Whether ``name.npy`` is there and was made from what ``path`` is now."""
        if not (self._folder / f"{name}.npy").is_file():
            return False
        if self._adopts:
            self.note(name, self.mark(path))
            return True
        row = self._rows.get(one_line(name))
        if row is None:
            return False
        if row[:2] == _stamp(path):
            return True
        now = self.mark(path)
        if row[2] == now[2]:
            # Copied or touched: so that its bytes need not be read at every run.
            self.note(name, now)
        return row[2] == now[2]

    def note(self, name: str, mark: Mark) -> None:
        """Put down that ``name.npy`` was made from the recording with that mark."""
        assert self._stream is not None
        self._rows[one_line(name)] = mark
        self._stream.write("\t".join([*mark, one_line(name)]) + "\n")
        self._stream.flush()


def _stamp(path: str | Path) -> tuple[str, str]:
    """Size and time of change: unlike that of modification, no program sets it back."""
    status = os.stat(path)
    return str(status.st_size), str(status.st_ctime_ns)
