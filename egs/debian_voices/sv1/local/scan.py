"""What the files of a corpus hold: each is decoded once, in parallel, for its length, its speech, a digest.

The rows of a package are kept in ``scan-<package>.tsv``. A row is used again as long as the file's size and
time and the code that reads and trims are the same.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from svmixer.audio import (
    AudioError,
    ark,
    decode,
    formats,
    lengths,
    read,
    read_audio,
    speech,
    trim_silence,
    wav,
)
from svmixer.fileio import atomic_write
from svmixer.log import get_logger

logger = get_logger("scan")


@dataclass(frozen=True)
class Scan:
    """One file, as decoded."""

    # Path inside the package.
    path: str
    # Size in bytes and time of change, to see whether the row still holds.
    size: int
    changed: int
    # Length in seconds, 0 if the file cannot be used.
    seconds: float
    # Where its speech starts and ends, in seconds.
    start: float
    end: float
    # MD5 of the decoded samples: files that differ in coding only, or not at all, have the same.
    digest: str
    # Why the file cannot be used; empty if it can.
    reason: str


def scan_packages(
    roots: dict[str, Path], files: dict[str, list[str]], cache_dir: Path, nj: int
) -> dict[str, dict[str, Scan]]:
    """Package → path → :class:`Scan`.

    Args:
        roots: package → its root folder.
        files: package → paths relative to its root.
        cache_dir: folder of the rows of earlier runs.
        nj: processes that decode what the cache does not know; progress goes to standard error.
    """
    version = _code_version()
    results: dict[str, dict[str, Scan]] = {}
    todo: list[tuple[str, str, str]] = []
    for package, paths in files.items():
        known = _read_cache(_cache_path(cache_dir, package), version)
        root = roots[package]
        kept = (known[path] for path in paths if path in known)
        results[package] = {row.path: row for row in kept if _holds(row, root)}
        todo += [(package, str(root), path) for path in paths if path not in results[package]]
    changed: set[str] = set()
    for package, row in _progress(_scan_all(todo, nj), len(todo)):
        # Tasks come back in order, so a package is complete when the next one begins.
        for done in changed - {package}:
            _write_cache(_cache_path(cache_dir, done), version, results[done])
        changed = {package}
        results[package][row.path] = row
    for done in changed:
        _write_cache(_cache_path(cache_dir, done), version, results[done])
    return results


def scan_file(root: str | Path, path: str) -> Scan:
    """Decode one file, channels averaged, at its own sample rate."""
    status = (Path(root) / path).stat()
    try:
        wave, rate = read_audio(str(Path(root) / path))
    except AudioError as error:
        reason = " ".join(error.what.split())  # one line, whatever a decoder has to say
        return Scan(path, status.st_size, int(status.st_mtime), 0.0, 0.0, 0.0, "", reason)
    mono = np.ascontiguousarray(wave.mean(axis=0), dtype=np.float32)
    start, end = trim_silence(mono, rate)
    digest = hashlib.md5(mono.tobytes(), usedforsecurity=False).hexdigest()
    reason = "" if end > start else "no speech"
    seconds = [round(samples / rate, 4) for samples in (len(mono), start, end)]
    return Scan(path, status.st_size, int(status.st_mtime), *seconds, digest, reason)


def _scan_all(todo: list[tuple[str, str, str]], nj: int) -> Iterator[tuple[str, Scan]]:
    if nj == 1 or len(todo) < 2:
        yield from map(_scan_task, todo)
    else:
        with multiprocessing.get_context("spawn").Pool(min(nj, len(todo))) as pool:
            yield from pool.imap(_scan_task, todo, chunksize=16)


def _scan_task(task: tuple[str, str, str]) -> tuple[str, Scan]:
    package, root, path = task
    return package, scan_file(root, path)


def _progress(items: Iterator, total: int) -> Iterator:
    begun = last = time.monotonic()
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last > 10 or count == total:
            left = (now - begun) / count * (total - count)
            logger.info("%d/%d files decoded in %.0f s, %.0f s left", count, total, now - begun, left)
            last = now


def _code_version() -> str:
    """Digest of the code that makes a row: this file and the modules that read and trim."""
    modules = (read, ark, wav, formats, lengths, decode, speech)
    files = (__file__, *(module.__file__ for module in modules))
    return hashlib.md5(b"".join(Path(name).read_bytes() for name in files), usedforsecurity=False).hexdigest()


def _cache_path(cache_dir: Path, package: str) -> Path:
    return cache_dir / f"scan-{package}.tsv"


def _holds(row: Scan, root: Path) -> bool:
    status = (root / row.path).stat()
    return row.size == status.st_size and row.changed == int(status.st_mtime)


def _read_cache(path: Path, version: str) -> dict[str, Scan]:
    if not path.is_file():
        return {}
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    if head != f"# {version}":
        return {}
    rows = {}
    for line in lines:
        name, size, changed, seconds, start, end, digest, reason = line.split("\t")
        times = (float(seconds), float(start), float(end))
        rows[name] = Scan(name, int(size), int(changed), *times, digest, reason)
    return rows


def _write_cache(path: Path, version: str, rows: dict[str, Scan]) -> None:
    with atomic_write(path) as stream:
        stream.write(f"# {version}\n")
        for name in sorted(rows):
            stream.write("\t".join(map(str, astuple(rows[name]))) + "\n")
