"""Files that are either whole or absent: writing under a temporary name and renaming, and digests."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

# What writing alone can meet: a full disk, a quota, the largest size that a file may have.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary name beside ``path``; renamed to it when the block ends, removed when the block raises.

    The parent folder is made. Modes of files and folders follow the umask. The data are flushed to disk
    before the rename, so that after a power cut the file is the old one or the new one.

    Raises:
        OSError: what the system reports, a full disk for one, with ``path`` named where the system does not.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        temporary = _new_file(path)
    except OSError as error:
        # The temporary name says nothing to anybody.
        error.filename = str(path)
        raise
    try:
        with _named(path):
            yield temporary
            with open(temporary, "rb") as stream:
                os.fsync(stream.fileno())
            os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _new_file(path: Path) -> Path:
    """An empty file beside ``path`` under a name of its own, with the mode that the umask leaves."""
    # Not tempfile: it makes files that the owner alone can read, whatever the umask says. A name may have 255
    # bytes; the beginning of a long one is enough to recognise whose temporary file it is.
    stem = os.fsdecode(os.fsencode(path.name)[:200])
    while True:
        temporary = path.with_name(f".{stem}.{secrets.token_hex(4)}.tmp")
        with contextlib.suppress(FileExistsError):
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            return temporary


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name ``path`` in the block's errors of writing: they know the descriptor alone."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM and error.filename is None:
            error.filename = str(path)
        raise


@contextlib.contextmanager
def atomic_write(path: str | Path, mode: str = "w", private: bool = False) -> Iterator[IO[Any]]:
    """An open file (``w``: UTF-8, or ``wb``) that takes its name when the block ends without an exception.

    With ``private`` its owner alone can read it.
    """
    encoding = None if "b" in mode else "utf-8"
    newline = None if "b" in mode else "\n"
    with atomic_path(path) as temporary, open(temporary, mode, encoding=encoding, newline=newline) as stream:
        if private:
            temporary.chmod(0o600)
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
    return _hexdigest(path, hashlib.md5(usedforsecurity=False))


def sha256_file(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes, read in blocks."""
    return _hexdigest(path, hashlib.sha256())


def printable(name: str) -> str:
    """A name as UTF-8 can hold it: of file names in another encoding the bytes are written out."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


# Beside files that are handed on: a line "SHA-256  name" for each, as sha256sum writes and checks it.
SUMS = "SHA256SUMS"


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write the sums of files in a folder, sorted by name."""
    with atomic_write(folder / SUMS) as stream:
        stream.writelines(f"{sha256_file(folder / name)}  {name}\n" for name in sorted(names))


def wrong_files(folder: Path) -> list[str]:
    """Names of files that are missing or are not those of the folder's sums; none if it has no sums."""
    sums = read_sums(folder)
    # Names alone: a sum says nothing of files elsewhere.
    files = {name: folder / Path(name).name for name in sums}
    return [name for name, path in files.items() if not path.is_file() or sha256_file(path) != sums[name]]


def read_sums(folder: Path) -> dict[str, str]:
    """Name → SHA-256 as the folder's sums have them; empty if it has none."""
    if not (folder / SUMS).is_file():
        return {}
    rows = (line.partition("  ") for line in (folder / SUMS).read_text(encoding="utf-8").splitlines())
    return {name: digest for digest, _, name in rows}


def _hexdigest(path: str | Path, digest: Any) -> str:
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


# Bytes at either end of a recording that its fingerprint covers.
_END_BYTES = 4096


def audio_fingerprint(path: str | Path) -> str:
    """Size and digest of the first and last 4 KiB of a file: cheap, and tells a recording from another one.

    Times, owner and place do not count, so a copy has the fingerprint of its original. A change between the
    two ends that keeps the size goes unnoticed.

    Raises:
        OSError: not readable, or no regular file.
    """
    with open(path, "rb", buffering=0, opener=_without_waiting) as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        head = os.pread(stream.fileno(), _END_BYTES, 0)
        tail = os.pread(stream.fileno(), _END_BYTES, max(len(head), status.st_size - _END_BYTES))
    return f"{status.st_size}-{hashlib.blake2b(head + tail, digest_size=8).hexdigest()}"


def _without_waiting(path: str, flags: int) -> int:
    """Open a named pipe without waiting for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)
