"""AS-norm: scores in deviations of those that both sides have against a cohort of other speakers."""

from __future__ import annotations

import numpy as np

from svmixer.errors import SvmixerError

# Rows of embeddings that meet the whole cohort at a time: 24 MB of scores with 6,000 of them.
_ROWS = 1024


def cohort_statistics(embeddings: np.ndarray, cohort: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each embedding's ``top`` highest scores against the cohort.

    Args:
        embeddings: ``(U, D)``; scores are dot products, of unit-length embeddings cosines.
        cohort: ``(C, D)``, one embedding a speaker who is in no trial.
        top: how many of the highest scores count.

    Returns:
        Two arrays ``float64 (U,)``.

    Raises:
        ValueError: fewer than ``top`` in the cohort, ``top`` < 2, sizes that differ, or a deviation of zero.
    """
    if not 2 <= top <= len(cohort):
        raise SvmixerError(f"top: {top} is not between 2 and the {len(cohort)} of the cohort")
    if embeddings.shape[1] != cohort.shape[1]:
        raise SvmixerError(
            f"embeddings have {embeddings.shape[1]} values, those of the cohort {cohort.shape[1]}"
        )
    mean, deviation = np.empty(len(embeddings)), np.empty(len(embeddings))
    columns = np.ascontiguousarray(cohort.astype(np.float32).T)
    for start in range(0, len(embeddings), _ROWS):
        rows = slice(start, start + _ROWS)
        scores = embeddings[rows].astype(np.float32) @ columns
        # Partition, not sort: the order among the highest does not matter.
        highest = np.partition(scores, len(cohort) - top, axis=1)[:, len(cohort) - top :].astype(np.float64)
        mean[rows], deviation[rows] = highest.mean(axis=1), highest.std(axis=1)
    if not (deviation > 0).all():
        what = f"{np.count_nonzero(~(deviation > 0))} of {len(deviation)} embeddings"
        raise SvmixerError(f"{what} have equal scores against the cohort: it has one embedding several times")
    return mean, deviation


def normalise(
    scores: np.ndarray, enrol: np.ndarray, test: np.ndarray, mean: np.ndarray, deviation: np.ndarray
) -> np.ndarray:
    """Scores ``(N,)`` as the mean of their distances from both sides' cohort scores, in deviations.

    Args:
        scores: of the trials ``(N,)``.
        enrol, test: rows of the two utterances of each trial ``(N,)``.
        mean, deviation: of every utterance ``(U,)``, from :func:`cohort_statistics`.
    """
    first = (scores - mean[enrol]) / deviation[enrol]
    second = (scores - mean[test]) / deviation[test]
    return 0.5 * (first + second)
