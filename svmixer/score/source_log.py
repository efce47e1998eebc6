"""Which recording each embedding of a directory was made from: one that was replaced is embedded anew."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO

from svmixer.fileio import md5_file
from svmixer.log import one_line

NAME = "sources.tsv"


class SourceLog:
    """``sources.tsv``: a line for each embedding as it is written; the last one of a name counts.

    The fields are size and time of modification (ns) of the recording, the MD5 of its bytes, and the name.
    While size and time are the same the bytes are not read. Embeddings without the file were made before
    there was one: they count as current, and are put down.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / NAME
        self._adopts = not self._path.exists()
        self._rows = dict(self._read())
        self._stream: IO[str] | None = None

    def _read(self) -> list[tuple[str, list[str]]]:
        with contextlib.suppress(FileNotFoundError):
            text = self._path.read_text(encoding="utf-8", errors="surrogateescape")
            # Behind the last line end is what a run that was killed did not finish.
            rows = (line.split("\t", 3) for line in text.split("\n")[:-1])
            return [(row[3], row[:3]) for row in rows if len(row) == 4]
        return []

    def __enter__(self) -> SourceLog:
        self._stream = open(self._path, "a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def holds(self, name: str, path: Path) -> bool:
        """Whether ``name.npy`` is there and was made from what ``path`` is now."""
        if not (self._folder / f"{name}.npy").is_file():
            return False
        if self._adopts:
            with self:
                self.note(name, path)
            return True
        row = self._rows.get(one_line(name))
        if row is None:
            return False
        now = _stamp(path)
        return row[:2] == now or (row[0] == now[0] and row[2] == md5_file(path))

    def note(self, name: str, path: Path) -> None:
        """Put down that ``name.npy`` was made from ``path``."""
        stream = self._stream
        assert stream is not None
        stream.write("\t".join([*_stamp(path), md5_file(path), one_line(name)]) + "\n")
        stream.flush()


def _stamp(path: Path) -> list[str]:
    status = os.stat(path)
    return [str(status.st_size), str(status.st_mtime_ns)]
