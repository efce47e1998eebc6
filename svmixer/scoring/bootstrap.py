"""Bootstrap over speakers: how far a figure would move with another draw of test speakers.

Trials that share a speaker are not independent, so speakers are resampled, not trials (the joint bootstrap of
Poh and Bengio, ICASSP 2007; for pairs, the vertex bootstrap of Snijders and Borgatti, 1999). One replicate
draws as many speakers as the list has, with replacement; speaker *s* comes ``c_s`` times. Each copy stands
for a person of its own with the same recordings:

- a trial within one speaker counts ``c_s`` times, once for each copy;
- a trial between speakers *s* and *t* counts ``c_s · c_t`` times, once for each pair of copies;
- pairs of different copies of one speaker make no trial: they would be the same recordings under two names.

The equal error rate of the trials so weighted is the replicate; the interval is made of the replicates'
percentiles.
"""

from __future__ import annotations

import numpy as np

from svmixer.errors import SvmixerError
from svmixer.scoring.metrics import check_scores

# Weights held at a time: 4M int64, 32 MB an array, whatever the number of trials and replicates.
_BLOCK = 1 << 22


def eer_replicates(
    scores: np.ndarray, labels: np.ndarray, speakers: np.ndarray, replicates: int = 1000, seed: int = 0
) -> np.ndarray:
    """Equal error rates (fractions) of ``replicates`` draws of speakers, ``[replicates]``.

    Two systems scored on one trial list get the same draws, as these depend on the seed and the number of
    speakers alone; so the difference of their replicates is a paired one. A draw that leaves no target or no
    non-target trial gives NaN, for every system alike.

    Args:
        scores: ``(N,)``.
        labels: ``(N,)``, 1 = target, 0 = non-target.
        speakers: ``(N, 2)`` indices from 0 of the two speakers of each trial.
        replicates: number of draws.
        seed: of the draws.

    Raises:
        ValueError: see :func:`svmixer.scoring.metrics.check_scores`; or ``speakers`` has another shape.
    """
    scores, targets = check_scores(scores, labels)
    speakers = np.asarray(speakers)
    if speakers.shape != (len(scores), 2):
        raise SvmixerError(f"expected two speakers a trial, {(len(scores), 2)}, found shape {speakers.shape}")
    thresholds = np.unique(scores)
    classes = []
    for of_class in (targets, ~targets):
        order = np.argsort(scores[of_class], kind="stable")
        below = np.searchsorted(scores[of_class][order], thresholds, side="left")
        classes.append((speakers[of_class][order], np.append(below, len(order))))
    number = int(speakers.max()) + 1
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(number, np.full(number, 1 / number), size=replicates)
    step = max(1, _BLOCK // len(scores))
    blocks = [_weighted_eer(counts[i : i + step], *classes) for i in range(0, replicates, step)]
    return np.concatenate(blocks)


def percentile_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float] | None:
    """Ends of the central ``level`` share of the replicates; None when more than half of them are NaN."""
    values = values[~np.isnan(values)] if np.isnan(values).mean() <= 0.5 else values[:0]
    if not len(values):
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _weighted_eer(counts: np.ndarray, targets: tuple, nontargets: tuple) -> np.ndarray:
    """Equal error rates ``(R,)``, as ``equal_error_rate`` defines them, with copies ``counts (R, S)``.

    ``targets`` and ``nontargets`` are pairs: speakers in order of score ``(N, 2)``, and the number of trials
    under each threshold ``(K,)``.
    """
    rejected_targets = _cumulative_weights(counts, targets[0])
    rejected_nontargets = _cumulative_weights(counts, nontargets[0])
    target_total, nontarget_total = rejected_targets[:, -1], rejected_nontargets[:, -1]
    row = np.arange(len(counts))

    def rates(point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(invalid="ignore"):
            miss = rejected_targets[row, targets[1][point]] / target_total
            accepted = nontarget_total - rejected_nontargets[row, nontargets[1][point]]
            return miss, accepted / nontarget_total

    # Miss - false alarm is -1 at the first point, 1 at the last and never falls: bisect for the crossing in
    # all rows at once.
    left = np.zeros(len(counts), dtype=np.int64)
    right = np.full(len(counts), len(targets[1]) - 1)
    while (right - left > 1).any():
        middle = (left + right) // 2
        miss, false_alarm = rates(middle)
        crossed = miss >= false_alarm
        right, left = np.where(crossed, middle, right), np.where(crossed, left, middle)
    (miss, false_alarm), (miss_right, false_alarm_right) = rates(left), rates(right)
    before, after = miss - false_alarm, miss_right - false_alarm_right
    return miss + (-before / (after - before)) * (miss_right - miss)


def _cumulative_weights(counts: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """Sums of the weights of the first 0, 1, …, N trials in each replicate, ``(R, N + 1)``."""
    first, second = speakers[:, 0], speakers[:, 1]
    weights = np.zeros((len(counts), len(speakers) + 1), dtype=np.int64)
    np.multiply(counts[:, first], np.where(first == second, 1, counts[:, second]), out=weights[:, 1:])
    return np.cumsum(weights, axis=1, out=weights)
