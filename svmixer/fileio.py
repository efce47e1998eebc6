"""Files that are either whole or absent: writing under a temporary name and renaming, and digests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary name beside ``path``; renamed to it when the block ends, removed when the block raises.

    The parent folder is made. File modes follow the umask. The data are flushed to disk before the rename,
    so that after a power cut the file is the old one or the new one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    os.close(handle)
    mask = os.umask(0)
    os.umask(mask)
    temporary.chmod(0o666 & ~mask)
    try:
        yield temporary
        with open(temporary, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def atomic_write(path: str | Path, mode: str = "w") -> Iterator[IO[Any]]:
    """An open file (``w``: UTF-8, or ``wb``) that takes its name when the block ends without an exception."""
    encoding = None if "b" in mode else "utf-8"
    newline = None if "b" in mode else "\n"
    with atomic_path(path) as temporary, open(temporary, mode, encoding=encoding, newline=newline) as stream:
        yield stream


def write_json(path: str | Path, value: Any) -> None:
    """Indented JSON, atomically, with a final newline; keys keep their order."""
    with atomic_write(path) as stream:
        json.dump(value, stream, indent=2, ensure_ascii=False)
        stream.write("\n")


def read_json(path: str | Path) -> Any:
    """The JSON value of a file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def md5_file(path: str | Path) -> str:
    """Hexadecimal MD5 of a file's bytes, read in blocks: the checksum quoted for trial lists."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
