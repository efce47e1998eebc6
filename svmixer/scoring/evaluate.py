"""Scores of trials from embeddings, and their evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from svmixer.errors import SvmixerError
from svmixer.scoring.metrics import summary

if TYPE_CHECKING:
    from svmixer.lists import Trials

# Scores are rounded as they are written, so that a `scores` file gives the very figures that stand beside it.
SCORE_DECIMALS = 6
# Trials gathered at a time: 25 MB an operand at 192 dimensions.
_BLOCK = 1 << 14


def score_trials(embeddings: np.ndarray, enrol: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Dot products of rows ``enrol (N,)`` and ``test (N,)`` of ``embeddings (U, D)``: ``(N,)``, six decimals.

    With embeddings from ``svmixer.inference.utterance.combine`` this is the mean cosine over all pairs of
    crops (protocol ``crops``) or the cosine (``whole``); nothing is normalised here.
    """
    scores = np.empty(len(enrol), dtype=np.float64)
    for start in range(0, len(enrol), _BLOCK):
        block = slice(start, start + _BLOCK)
        first, second = (embeddings[index[block]].astype(np.float64) for index in (enrol, test))
        scores[block] = np.einsum("nd,nd->n", first, second)
    # Adding zero turns -0.0 into 0.0.
    return np.round(scores, SCORE_DECIMALS) + 0.0


def evaluate(embeddings: np.ndarray, trials: Trials) -> dict[str, Any]:
    """Figures of one set of embeddings on a trial list, for validation in training: the same path as the
    score stage.

    Args:
        embeddings: ``[len(trials.utterances), D]``, a row for each of ``trials.utterances``.
        trials: the list.

    Returns:
        ``{"eer": percent, "eer_threshold": score, "min_dcf": {"0.05": …, "0.01": …}}``.

    Raises:
        ValueError: another number of rows, or see :func:`svmixer.scoring.metrics.check_scores`.
    """
    embeddings = np.asarray(embeddings)
    if len(embeddings) != len(trials.utterances):
        raise SvmixerError(
            f"{len(embeddings)} embeddings for {len(trials.utterances)} utterances of the trial list"
        )
    return summary(score_trials(embeddings, trials.enrol, trials.test), trials.labels)
