"""The cohort of training speech: what scores are normalised with, and what PLDA is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from svmixer.fileio import read_json, write_json
from svmixer.inference.utterance import unit_length
from svmixer.lists import ListError, read_table, read_utt2spk, write_table
from svmixer.scoring.vectors import EmbeddingError, load_embeddings, merge_jobs, write_vectors

if TYPE_CHECKING:
    from svmixer.audio.dumpset import DumpSet

# Settings in which cohort and trials have to agree, beside the digests of the model.
_ALIKE = ("model", "protocol", "num_crops", "lowpass_hz", "channels")


@dataclass(frozen=True)
class Cohort:
    """Embeddings to compare with, and where they come from."""

    # (C, D).
    embeddings: np.ndarray
    # What they are of: speakers or utterances.
    kind: str
    # Name of the set.
    name: str
    # Settings of their extraction.
    settings: dict[str, Any]


def cohort_indices(dump: DumpSet, per_speaker: int) -> Sequence[int]:
    """Positions of the utterances that the cohort is made from, rising.

    Args:
        dump: the training set.
        per_speaker: utterances of each speaker, evenly spaced in the order of the list; 0 = all.

    Raises:
        ListError: the set does not know its speakers.
    """
    if dump.speakers is None:
        raise ListError("the cohort of AS-norm needs a set with utt2spk")
    if not per_speaker:
        return range(len(dump))
    of_speaker: dict[str, list[int]] = {}
    for index, speaker in enumerate(dump.speakers):
        of_speaker.setdefault(speaker, []).append(index)
    chosen: list[int] = []
    for indices in of_speaker.values():
        count = min(per_speaker, len(indices))
        chosen += [indices[len(indices) * number // count] for number in range(count)]
    return sorted(chosen)


def speaker_means(embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """One embedding for each speaker: the mean of their utterances', as long as those are on average.

    Scores against it are then of the size of scores between utterances: with unit-length embeddings it has
    unit length; those of the crops protocol are shorter, and so is their mean here.

    Args:
        embeddings: ``(N, D)``.
        labels: speakers 0 … S − 1 ``(N,)``, each at least once.

    Returns:
        float32 ``(S, D)``.
    """
    counts = np.bincount(labels)
    sums = np.zeros((len(counts), embeddings.shape[1]))
    np.add.at(sums, labels, embeddings.astype(np.float64))
    lengths = np.bincount(labels, np.linalg.norm(embeddings.astype(np.float64), axis=1)) / counts
    return (unit_length(sums) * lengths[:, None]).astype(np.float32)


def write_cohort(
    embeddings_dir: str | Path, data_dir: str | Path, num_jobs: int, kind: Literal["speakers", "utterances"]
) -> int:
    """Make ``cohort.{ark,scp,json}`` of the extraction in ``embeddings_dir``; returns its size.

    Raises:
        EmbeddingError: embeddings are missing or not finite.
        ListError: an utterance has no speaker.
    """
    directory, data_dir = Path(embeddings_dir), Path(data_dir)
    scp, settings = merge_jobs(directory, num_jobs)
    names = list(scp)
    vectors = load_embeddings(scp, names, str(directory))
    if kind == "speakers":
        utt2spk = read_utt2spk(data_dir / "utt2spk")
        missing = next((name for name in names if name not in utt2spk), None)
        if missing is not None:
            raise ListError("no speaker", path=data_dir / "utt2spk", utterance=missing)
        speakers, labels = np.unique([utt2spk[name] for name in names], return_inverse=True)
        names, vectors = speakers.tolist(), speaker_means(vectors, labels)
    (directory / "cohort.scp").unlink(missing_ok=True)
    rows = write_vectors(directory / "cohort.ark", zip(names, vectors, strict=True))
    write_json(
        directory / "cohort.json",
        {"kind": kind, "set": data_dir.name, "size": len(rows), "settings": settings},
    )
    write_table(directory / "cohort.scp", rows)
    return len(rows)


def read_cohort(directory: str | Path, settings: dict[str, Any]) -> Cohort:
    """The cohort in a directory, for embeddings that were made with ``settings``.

    Raises:
        EmbeddingError: it is missing, or was embedded by another model or in another way.
    """
    about, path = _checked(directory, settings), Path(directory) / "cohort.scp"
    table = read_table(path)
    vectors = load_embeddings(table, list(table), str(path))
    return Cohort(vectors, about["kind"], about["set"], about["settings"])


def read_training(directory: str | Path, settings: dict[str, Any]) -> tuple[list[str], np.ndarray]:
    """The utterances that a cohort was made of and their embeddings ``(N, D)``.

    Raises:
        EmbeddingError: see :func:`read_cohort`.
    """
    _checked(directory, settings)
    path = Path(directory) / "embeddings.scp"
    table = read_table(path)
    return list(table), load_embeddings(table, list(table), str(path))


def _checked(directory: str | Path, settings: dict[str, Any]) -> dict[str, Any]:
    """What ``cohort.json`` says, if it belongs to embeddings that were made with ``settings``."""
    path = Path(directory) / "cohort.scp"
    if not path.is_file():
        raise EmbeddingError(f"{path}: missing: the cohort of training speech was not made")
    about = read_json(path.with_suffix(".json"))
    its = about["settings"]
    for key in _ALIKE:
        # Settings name channels only where there are any.
        here, there = its.get(key), settings.get(key)
        if here != there:
            raise EmbeddingError(
                f"{path}: {key} of the cohort is {here}, of the trials {there}; extract it again"
            )
    for name in its["md5"].keys() & settings["md5"].keys():
        if its["md5"][name] != settings["md5"][name]:
            raise EmbeddingError(f"{path}: made with another {name} than the trials; extract it again")
    return dict(about)
