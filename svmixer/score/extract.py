"""Embeddings of a dump, one job of several, with progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from svmixer.log import get_logger
from svmixer.progress import Progress
from svmixer.score.embeddings import EmbeddingError
from svmixer.score.filters import lowpass

if TYPE_CHECKING:
    from svmixer.audio.dumpset import DumpSet

logger = get_logger(__name__)

SAMPLE_RATE = 16000


def job_indices(total: int, job: int, num_jobs: int) -> range:
    """Utterances of job ``job`` (from 1) when ``total`` are dealt in consecutive runs whose lengths differ by
    at most one.

    Raises:
        ValueError: ``job`` is not among 1 … ``num_jobs``.
    """
    if not 1 <= job <= num_jobs:
        raise ValueError(f"job {job} is not among 1 … {num_jobs}")
    return range(total * (job - 1) // num_jobs, total * job // num_jobs)


def extract(
    embed: Callable[[np.ndarray], np.ndarray], dump: DumpSet, indices: range, lowpass_hz: float = 0.0
) -> Iterator[tuple[str, np.ndarray]]:
    """(utterance, embedding) of the utterances ``indices`` of a dump, one waveform in memory at a time.

    Args:
        embed: waveform ``[N]`` → embedding ``[D]``.
        dump: 16 kHz waveforms.
        indices: positions in ``dump.utterances``.
        lowpass_hz: everything from this frequency on is filtered out first; 0 = no filter.

    Raises:
        EmbeddingError: the waveform cannot be embedded; the message names the utterance.
        AudioError: the dump is damaged.
    """
    progress = Progress(logger, len(indices), "utterances")
    seconds = 0.0
    for done, index in enumerate(indices, 1):
        utterance = dump.utterances[index]
        wave = dump.read(index)
        seconds += len(wave) / SAMPLE_RATE
        try:
            vector = embed(lowpass(wave, lowpass_hz, SAMPLE_RATE) if lowpass_hz else wave)
        except ValueError as error:
            raise EmbeddingError(f"utterance {utterance}: {error}") from error
        if not np.isfinite(vector).all():
            raise EmbeddingError(f"utterance {utterance}: the model gives an embedding that is not finite")
        yield utterance, vector
        progress.update(done, audio_seconds=seconds)
