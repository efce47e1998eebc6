"""Whether the recordings behind a ``wav.scp`` are still the ones that something was made from.

A state file keeps, for every line of the list, the fingerprint of its file or archive
(:func:`audio_fingerprint`) and the time of its last change of any kind. As long as that time stands nothing
is read; where it does not (a touch, a copy, another owner), fingerprints decide. Commands (``sox … |``) are
not looked at and have no record.

1.2 million files on a local disk: half a minute to write, 6 s to check, 40 s where all were touched; 46 MB.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from svmixer.fileio import atomic_write, audio_fingerprint
from svmixer.lists.errors import ListError
from svmixer.lists.source import find_source
from svmixer.lists.table import iter_table

# A file that is not there has no time and no fingerprint. One record a line, also for entries of one archive:
# which file `call_12:30` stands for may be another once that is gone, and others keep their places.
_RECORD = np.dtype([("changed", np.int64), ("fingerprint", "S40")])


def write_state(wav_scp: str | Path, state: str | Path) -> None:
    """Write the state of all recordings of a list, in its order.

    Raises:
        ListError: the list cannot be read.
        OSError: the state cannot be written.
    """
    # Entries of one archive mostly stand together.
    record = lru_cache(maxsize=1)(_record)
    records = np.fromiter((record(path) for path in _files(wav_scp)), _RECORD)
    with atomic_write(state, "wb") as stream:
        np.save(stream, records)


def state_digest(state: str | Path) -> str:
    """Checksum of all fingerprints; times are not in it.

    Raises:
        ListError: the state cannot be read.
    """
    return hashlib.md5(_load(state)["fingerprint"].tobytes(), usedforsecurity=False).hexdigest()


def changed_recording(wav_scp: str | Path, state: str | Path) -> str:
    """The first file that is another one than when the state was written, or "".

    One that is gone is no other: people delete recordings that have been dumped. One that has come is.

    Raises:
        ListError: the list or the state cannot be read.
    """
    records = _load(state)
    times, fingerprints = records["changed"].tolist(), records["fingerprint"]
    time_of, fingerprint_of = lru_cache(maxsize=1)(_changed), lru_cache(maxsize=1)(audio_fingerprint)
    number = 0
    for number, path in enumerate(_files(wav_scp), 1):
        if number > len(times):
            return path
        changed = time_of(path)
        if changed in (0, times[number - 1]):
            continue
        try:
            if fingerprint_of(path).encode() != fingerprints[number - 1]:
                return path
        except OSError:
            continue
    return str(wav_scp) if number < len(times) else ""


def _files(wav_scp: str | Path) -> Iterator[str]:
    """The file or archive of every line that is no command."""
    for number, name, text in iter_table(wav_scp):
        try:
            source = find_source(text)
        except ListError as error:
            raise ListError(error.what, path=wav_scp, line=number, utterance=name) from None
        if source.kind != "pipe":
            yield source.path


def _changed(path: str) -> int:
    """Time of the last change of content, name or owner, in ns: unlike the content's it cannot be set."""
    try:
        return os.stat(path).st_ctime_ns
    except OSError:
        return 0


def _record(path: str) -> tuple[int, bytes]:
    # The time first: a file that changes in between is looked at again.
    changed = _changed(path)
    try:
        return changed, audio_fingerprint(path).encode()
    except OSError:
        return 0, b""


def _load(state: str | Path) -> np.ndarray:
    try:
        records = np.load(state)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        records = None
    # Whatever else numpy finds in a file: an archive of arrays, an array of another kind.
    if not isinstance(records, np.ndarray) or records.dtype != _RECORD or records.ndim != 1:
        raise ListError(f"{state} is damaged")
    return records
