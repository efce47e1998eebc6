"""Who is enrolled, in an SQLite file.

One file is of one model: embeddings of two models cannot be compared. Several processes may use it at the
same time. It is made for its owner alone to read (mode 0600), and what is deleted is overwritten with zeros.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from svmixer.audio.quality import Quality
from svmixer.errors import SvmixerError
from svmixer.fileio import printable
from svmixer.scoring.store import Enrolled, Store, StoreError, clean_name, utc_now

# In the file's header: that it is a store, and of which version.
_APPLICATION, _VERSION = 0x73766D78, 1
# Seconds that another process may take to write.
_PATIENCE = 60.0
_QUALITY = tuple(field.name for field in fields(Quality))
_TABLES = f"""
CREATE TABLE model (fingerprint TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL);
CREATE TABLE recordings (
    speaker TEXT NOT NULL, source TEXT NOT NULL, enrolled TEXT NOT NULL, embedding BLOB NOT NULL,
    {", ".join(f"{name} REAL" for name in _QUALITY)});
CREATE INDEX speakers ON recordings (speaker);
CREATE INDEX beginnings ON recordings (substr(embedding, 1, 16));
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
"""


def default_store() -> Path:
    """Where enrolments lie if nothing else is said: ``$SVMIXER_STORE``, or the user's data folder."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    return Path(os.environ.get("SVMIXER_STORE") or Path(data) / "svmixer" / "speakers.db")


class EnrolmentStore(Store):
    """The store in one file; every method opens it, and is all done or not at all.

    Args:
        path: of the file; it is made when the first speaker is enrolled.
        fingerprint: of the model, see :attr:`svmixer.scoring.embedder.Embedder.fingerprint`.
        model: its name, for messages.
        size: numbers D of an embedding.

    Raises:
        StoreError: the file is none of ours, of another version, or of another model.
    """

    def __init__(self, path: str | Path, fingerprint: str, model: str, size: int) -> None:
        self.path, self.fingerprint, self.model, self.size = Path(path), fingerprint, model, size
        if self.path.exists():
            with self._open():
                pass

    @classmethod
    def of_any_model(cls, path: str | Path) -> EnrolmentStore:
        """A store to list, to delete from or to copy, whatever model it is of.

        Raises:
            StoreError: no such file, or none of ours.
        """
        path = Path(path)
        if not path.exists():
            raise StoreError(f"{path}: no such file: nobody is enrolled (svmixer enrol FILE... --name NAME)")
        with _as_store_errors(path), contextlib.closing(sqlite3.connect(path)) as database:
            if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise StoreError(f"{path}: nobody is enrolled (svmixer enrol FILE... --name NAME)")
            _check_form(path, database)
            return cls(path, *database.execute("SELECT * FROM model").fetchone())

    def __str__(self) -> str:
        return str(self.path)

    def add(self, speaker: str, recordings: Sequence[Enrolled]) -> int:
        """See :class:`Store`.

        Raises:
            StoreError: also for embeddings of another size.
        """
        speaker = clean_name(speaker)
        now = utc_now()
        rows = []
        for one in recordings:
            if one.embedding.shape != (self.size,):
                what = f"{one.source}: an embedding of shape {one.embedding.shape}, {self.model} has"
                raise StoreError(f"{what} ({self.size},)")
            quality = [None] * len(_QUALITY) if one.quality is None else list(asdict(one.quality).values())
            blob = np.asarray(one.embedding, "<f4").tobytes()
            rows.append((speaker, printable(one.source), one.enrolled or now, blob, *quality))
        columns = ", ".join(("speaker", "source", "enrolled", "embedding", *_QUALITY))
        places = ", ".join("?" * (4 + len(_QUALITY)))
        count = 0
        with self._open(write=True) as database:
            for row in rows:
                same = "SELECT 1 FROM recordings WHERE speaker = ? AND embedding = ?"
                if database.execute(same, (row[0], row[3])).fetchone() is None:
                    database.execute(f"INSERT INTO recordings ({columns}) VALUES ({places})", row)
                    count += 1
        return count

    def speakers(self) -> Mapping[str, list[Enrolled]]:
        """See :class:`Store`; nobody if there is no file."""
        return self._read()

    def speaker(self, name: str) -> list[Enrolled]:
        """See :class:`Store`; the others' embeddings are not read."""
        name = clean_name(name)
        found = self._read("WHERE speaker = ?", name)
        return found[name] if found else super().speaker(name)

    def others_with(self, speaker: str, embeddings: Sequence[np.ndarray]) -> list[str]:
        """See :class:`Store`."""
        if self._nothing_written():
            return []
        # By their beginnings, which have an index: a large store is not read for every speaker.
        query = (
            "SELECT speaker FROM recordings WHERE speaker != ? "
            "AND substr(embedding, 1, 16) = substr(?, 1, 16) AND embedding = ?"
        )
        found: set[str] = set()
        with self._open() as database:
            for blob in (np.asarray(vector, "<f4").tobytes() for vector in embeddings):
                found.update(name for (name,) in database.execute(query, (clean_name(speaker), blob, blob)))
        return sorted(found)

    def _nothing_written(self) -> bool:
        """Whether there is no file, or the empty one of a process that was killed."""
        return not self.path.exists() or not self.path.stat().st_size

    def _read(self, where: str = "", *values: str) -> dict[str, list[Enrolled]]:
        found: dict[str, list[Enrolled]] = {}
        if self._nothing_written():
            return found
        columns = ", ".join(("speaker", "source", "enrolled", "embedding", *_QUALITY))
        with self._open() as database:
            query = f"SELECT {columns} FROM recordings {where} ORDER BY speaker, rowid"
            rows = database.execute(query, values).fetchall()
        with _as_store_errors(self.path):
            for speaker, source, enrolled, blob, *quality in rows:
                vector = np.frombuffer(blob, "<f4").astype(np.float32)
                if vector.shape != (self.size,) or not np.isfinite(vector).all() or not vector.any():
                    raise StoreError(
                        f"{self.path}: damaged: no embedding of {self.size} numbers of {speaker}"
                    )
                *numbers, steady, hardly = quality
                known = None
                if quality[0] is not None:
                    seconds, range_db, band_db, clipped = map(float, numbers)
                    known = Quality(seconds, range_db, band_db, clipped, bool(steady), bool(hardly))
                found.setdefault(speaker, []).append(Enrolled(vector, source, known, enrolled))
        return found

    def delete(self, name: str) -> int:
        """See :class:`Store`.

        The bytes are overwritten in the file. What a backup or the disk below the file system keeps is out of
        reach.

        Raises:
            StoreError: nobody of that name.
        """
        name = clean_name(name)
        self.speaker(name)
        with self._open(write=True) as database:
            return database.execute("DELETE FROM recordings WHERE speaker = ?", (name,)).rowcount

    @contextlib.contextmanager
    def _open(self, write: bool = False) -> Iterator[sqlite3.Connection]:
        """The database, within one transaction if something is written."""
        if write:
            self._make()
        with _as_store_errors(self.path):
            # Also to read: whoever comes first after a kill takes back what was half written.
            where = f"{self.path.resolve().as_uri()}?mode=rw"
            database = sqlite3.connect(where, uri=True, timeout=_PATIENCE, isolation_level=None)
            try:
                database.execute("PRAGMA secure_delete = ON")
                if write:
                    database.execute("BEGIN IMMEDIATE")
                if database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    self._check(database)
                elif write:
                    for statement in filter(str.strip, _TABLES.split(";")):
                        database.execute(statement)
                    row = (self.fingerprint, self.model, self.size)
                    database.execute("INSERT INTO model VALUES (?, ?, ?)", row)
                yield database
                if write:
                    database.execute("COMMIT")
            finally:
                database.close()

    def _make(self) -> None:
        """An empty file that its owner alone can read, if there is none."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))

    def _check(self, database: sqlite3.Connection) -> None:
        _check_form(self.path, database)
        fingerprint, model, _ = database.execute("SELECT * FROM model").fetchone()
        if fingerprint != self.fingerprint and self._emptied(database):
            return
        if fingerprint != self.fingerprint:
            raise StoreError(
                f"{self.path}: enrolled with the model {model} ({fingerprint[:12]}), not with {self.model} "
                f"({self.fingerprint[:12]}): take --model {model}, or enrol into another --store"
            )

    def _emptied(self, database: sqlite3.Connection) -> bool:
        """Whether nobody is enrolled any more, so that the store may be of this model from now on."""
        if database.execute("SELECT count(*) FROM recordings").fetchone()[0]:
            return False
        if database.in_transaction:
            row = (self.fingerprint, self.model, self.size)
            database.execute("DELETE FROM model")
            database.execute("INSERT INTO model VALUES (?, ?, ?)", row)
        return True


def _check_form(path: Path, database: sqlite3.Connection) -> None:
    if database.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
        raise StoreError(f"{path}: no enrolment store of svmixer")
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version != _VERSION:
        raise StoreError(f"{path}: of version {version}, this svmixer reads {_VERSION}")


@contextlib.contextmanager
def _as_store_errors(path: Path) -> Iterator[None]:
    """SQLite's errors with the file's name."""
    try:
        yield
    except SvmixerError:
        raise
    except (TypeError, ValueError):
        raise StoreError(f"{path}: damaged: values of other kinds than enrolments have") from None
    except sqlite3.Error as error:
        busy = isinstance(error, sqlite3.OperationalError)
        what = "cannot be used" if busy else "no enrolment store, or damaged"
        raise StoreError(f"{path}: {what}: {error}") from None
