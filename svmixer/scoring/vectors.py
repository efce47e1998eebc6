"""Embeddings on disk: one Kaldi ark and scp a job, with the settings they were made with, and their merge.

A job's files appear in the order ``embeddings.JOB.ark``, ``embeddings.JOB.json``, ``embeddings.JOB.scp``,
each whole or absent: a job whose scp is there is finished, and its json says what it was finished with.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from svmixer.audio.dumpset import MAX_OPEN
from svmixer.errors import SvmixerError
from svmixer.fileio import atomic_write, read_json, write_json
from svmixer.lists import parse_source, read_table, write_table

# How a binary vector begins, and the kind of its numbers.
_FLOAT32 = b"\0BFV \4"
_FLOATS = {_FLOAT32: np.dtype("<f4"), b"\0BDV \4": np.dtype("<f8")}


class EmbeddingError(SvmixerError):
    """Embeddings that are missing, cannot be made or do not belong together; the culprit is named."""


def job_finished(directory: str | Path, job: int, settings: dict[str, Any]) -> bool:
    """True if job ``job`` of ``directory`` is complete and was made with exactly these settings."""
    base = Path(directory) / f"embeddings.{job}"
    names = [base.with_name(f"{base.name}.{kind}") for kind in ("ark", "json", "scp")]
    return all(name.is_file() for name in names) and read_json(names[1]) == settings


def write_vectors(ark: str | Path, vectors: Iterable[tuple[str, np.ndarray]]) -> list[tuple[str, str]]:
    """Write (key, vector ``(D,)``) pairs as float32 Kaldi vectors; the scp of an earlier archive goes.

    Returns:
        The rows of their scp, (key, ``ark:offset``); the ark is named by the path given.
    """
    rows = []
    with atomic_write(ark, "wb") as stream:
        for key, vector in vectors:
            # The offset in an scp is that of the data behind the key and its space.
            rows.append((key, f"{ark}:{stream.tell() + len(key.encode()) + 1}"))
            data = np.asarray(vector, dtype="<f4")
            stream.write(key.encode() + b" " + _FLOAT32 + struct.pack("<i", len(data)) + data.tobytes())
        # Never the places in one archive beside another, even if killed here.
        Path(ark).with_suffix(".scp").unlink(missing_ok=True)
    return rows


def write_job(
    directory: str | Path, job: int, embeddings: Iterable[tuple[str, np.ndarray]], settings: dict[str, Any]
) -> None:
    """Write (utterance, vector ``(D,)``) pairs as float32 Kaldi vectors and their scp, in the order given.

    The scp names the ark by the path given, so a relative ``directory`` holds from the same working
    directory.
    """
    directory = Path(directory)
    ark, scp = directory / f"embeddings.{job}.ark", directory / f"embeddings.{job}.scp"
    scp.unlink(missing_ok=True)
    rows = write_vectors(ark, embeddings)
    write_json(directory / f"embeddings.{job}.json", settings)
    write_table(scp, rows)


def merge_jobs(directory: str | Path, num_jobs: int) -> tuple[dict[str, str], dict[str, Any]]:
    """Join the scp files of jobs 1 … ``num_jobs`` into ``embeddings.scp``; 0 = as many as job 1 names.

    Returns:
        The table, and the settings that all jobs share.

    Raises:
        EmbeddingError: a job is not finished, an utterance comes twice, or jobs were made with different
            settings.
    """
    directory = Path(directory)
    merged: dict[str, str] = {}
    settings: dict[str, Any] | None = None
    first = directory / "embeddings.1.json"
    if num_jobs == 0 and first.is_file():
        num_jobs = read_json(first)["num_jobs"]
    for job in range(1, max(num_jobs, 1) + 1):
        scp = directory / f"embeddings.{job}.scp"
        if not scp.is_file():
            raise EmbeddingError(f"{scp}: missing: extraction job {job} of {num_jobs} has not finished")
        its_settings = read_json(scp.with_suffix(".json"))
        if settings is None:
            settings = its_settings
        if its_settings != settings:
            raise EmbeddingError(f"{scp}: made with other settings than embeddings.1.scp; extract again")
        table = read_table(scp)
        twice = table.keys() & merged.keys()
        if twice:
            raise EmbeddingError(
                f"{scp}: utterance {min(twice)} is in two jobs; extract again with {num_jobs} jobs"
            )
        merged.update(table)
    write_table(directory / "embeddings.scp", merged.items())
    return merged, settings or {}


def load_embeddings(scp: dict[str, str], utterances: list[str], needed_by: str) -> np.ndarray:
    """Embeddings of ``utterances`` in their order, float32 ``[len(utterances), D]``.

    Args:
        scp: utterance → ``ark:offset``.
        utterances: keys to read.
        needed_by: what asks for them (a trial list), for the error.

    Raises:
        EmbeddingError: utterances without an embedding (the first five are named), a damaged archive, or
            vectors that are not finite or not of one length.
    """
    missing = [utterance for utterance in utterances if utterance not in scp]
    if missing:
        names = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        share = f"{len(missing)} of {len(utterances)} utterances"
        raise EmbeddingError(f"{needed_by}: {share} have no embedding: {names}")
    vectors: np.ndarray | None = None
    for row, (utterance, vector) in enumerate(iter_vectors(scp, utterances)):
        if vectors is None:
            vectors = np.empty((len(utterances), len(vector)), dtype=np.float32)
        if vector.shape != vectors.shape[1:] or not np.isfinite(vector).all():
            raise EmbeddingError(
                f"{scp[utterance]}: utterance {utterance}: not a finite vector of {vectors.shape[1]} numbers"
            )
        vectors[row] = vector
    return vectors if vectors is not None else np.empty((0, 0), dtype=np.float32)


def iter_vectors(scp: dict[str, str], utterances: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
    """(utterance, vector ``(D,)``) in the order asked for; a number of archives stay open.

    Raises:
        EmbeddingError: no place in an archive, or no vector of floats there; the utterance is named.
        OSError: an archive cannot be read.
    """
    arks: dict[str, Any] = {}
    try:
        for utterance in utterances:
            source = parse_source(scp[utterance])
            if source.kind != "ark":
                raise EmbeddingError(f"utterance {utterance}: expected ark:offset, found {scp[utterance]}")
            if source.path not in arks:
                if len(arks) >= MAX_OPEN:
                    arks.pop(next(iter(arks))).close()
                arks[source.path] = open(source.path, "rb")  # noqa: SIM115 closed below
            try:
                vector = read_vector(arks[source.path].fileno(), source.offset)
            except EmbeddingError as error:
                raise EmbeddingError(f"{scp[utterance]}: utterance {utterance}: {error}") from None
            yield utterance, vector
    finally:
        for ark in arks.values():
            ark.close()


def read_vector(descriptor: int, offset: int) -> np.ndarray:
    """The binary vector of floats ``(D,)`` at ``offset`` of a Kaldi archive that is open.

    Not kaldiio's reader: it unpickles what calls itself a pickle, and runs names that end in a bar.

    Raises:
        EmbeddingError: there is no vector of floats, or only a part of one.
    """
    head = os.pread(descriptor, 10, offset)
    kind = _FLOATS.get(head[:6])
    if kind is None or len(head) < 10:
        raise EmbeddingError(f"no vector of floats at byte {offset}")
    size = kind.itemsize * struct.unpack("<i", head[6:])[0]
    present = os.fstat(descriptor).st_size - offset - 10
    if not 0 <= size <= present:
        raise EmbeddingError(f"truncated: {size} bytes are promised, {present} are there")
    return np.frombuffer(os.pread(descriptor, size, offset + 10), dtype=kind)
