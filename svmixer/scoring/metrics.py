"""Error rates of detection: equal error rate, detection cost, points of a DET curve; speaker bootstrap.

A trial is accepted when its score is **at or above** the threshold. The operating points are one per distinct
score, plus "reject everything": trials with equal scores are always decided together, so no figure here
depends on the order of the trials. Rates are fractions; figures in ``metrics.json`` and in reports are
percentages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from svmixer.errors import SvmixerError

if TYPE_CHECKING:
    from svmixer.lists import Trials

# Target priors of the normalised detection costs that are reported, with C_miss = C_fa = 1.
P_TARGETS = (0.05, 0.01)
# Scores are rounded as they are written, so that a `scores` file gives the very figures that stand beside it.
SCORE_DECIMALS = 6
# Trials gathered at a time: 25 MB an operand at 192 dimensions.
_TRIALS_AT_A_TIME = 1 << 14
# Weights held at a time: 4M int64, 32 MB an array, whatever the number of trials and replicates.
_WEIGHTS_AT_A_TIME = 1 << 22


@dataclass(frozen=True)
class ErrorRates:
    """Operating points by rising threshold; arrays of ``(K,)`` for ``K - 1`` distinct scores."""

    # Threshold of each point; the last is +inf (reject everything).
    thresholds: np.ndarray
    # Fraction of target trials rejected, rising from 0 to 1.
    miss: np.ndarray
    # Fraction of non-target trials accepted, falling from 1 to 0.
    false_alarm: np.ndarray


def check_scores(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores as float64 ``(N,)`` and "is target" as bool ``(N,)``.

    Raises:
        ValueError: different lengths, scores that are not finite, labels other than 0 and 1, or one class
            absent.
    """
    scores, labels = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise SvmixerError(f"expected one score a label, found shapes {scores.shape} and {labels.shape}")
    if not np.isfinite(scores).all():
        raise SvmixerError(f"{np.count_nonzero(~np.isfinite(scores))} of {len(scores)} scores are not finite")
    if not np.isin(labels, (0, 1)).all():
        raise SvmixerError("labels are 1 (target) or 0 (non-target)")
    targets = labels.astype(bool)
    if targets.all() or not targets.any():
        raise SvmixerError(
            f"error rates need target and non-target trials; found {targets.sum()} of {len(targets)} target"
        )
    return scores, targets


def error_rates(scores: np.ndarray, labels: np.ndarray) -> ErrorRates:
    """Every operating point of scores ``(N,)`` with labels ``(N,)`` (1 = target, 0 = non-target).

    Raises:
        ValueError: see :func:`check_scores`.
    """
    scores, targets = check_scores(scores, labels)
    distinct, group = np.unique(scores, return_inverse=True)
    rejected_targets = _below(np.bincount(group[targets], minlength=len(distinct)))
    rejected_nontargets = _below(np.bincount(group[~targets], minlength=len(distinct)))
    nontargets = rejected_nontargets[-1]
    return ErrorRates(
        thresholds=np.append(distinct, np.inf),
        miss=rejected_targets / rejected_targets[-1],
        false_alarm=(nontargets - rejected_nontargets) / nontargets,
    )


def equal_error_rate(rates: ErrorRates) -> tuple[float, float]:
    """``(eer, threshold)``: the rate at which misses and false alarms are equal.

    It is read off the plain ROC curve (not its convex hull), drawn as straight lines between operating
    points: on such a line the trials of one score, target or not, are accepted with one probability. The
    threshold is then that score. If the rates are equal at an operating point itself, every threshold in the
    gap between two scores gives that point, and the middle of the gap is returned.
    """
    difference = rates.miss - rates.false_alarm
    right = int(np.argmax(difference >= 0))
    left = right - 1
    if difference[right] == 0:
        return float(rates.miss[right]), float(rates.thresholds[left : right + 1].mean())
    share = -difference[left] / (difference[right] - difference[left])
    eer = rates.miss[left] + share * (rates.miss[right] - rates.miss[left])
    return float(eer), float(rates.thresholds[left])


def min_dcf(rates: ErrorRates, p_target: float) -> float:
    """Minimum over all thresholds of ``P·miss + (1 - P)·false_alarm``, divided by ``min(P, 1 - P)``.

    The costs C_miss and C_fa are 1. The divisor is the cost of the better of accepting and rejecting
    everything (NIST SRE 2016 evaluation plan, section 3), so the result lies in [0, 1].

    Raises:
        ValueError: ``p_target`` is not between 0 and 1.
    """
    return float(_costs(rates, p_target).min())


def min_dcf_point(rates: ErrorRates, p_target: float) -> int:
    """Index of the operating point at which :func:`min_dcf` is reached, the first of several.

    Raises:
        ValueError: ``p_target`` is not between 0 and 1.
    """
    return int(_costs(rates, p_target).argmin())


def _costs(rates: ErrorRates, p_target: float) -> np.ndarray:
    """Normalised detection cost of every operating point, ``(K,)``."""
    if not 0 < p_target < 1:
        raise SvmixerError(f"p_target lies between 0 and 1, found {p_target}")
    cost = p_target * rates.miss + (1 - p_target) * rates.false_alarm
    return cost / min(p_target, 1 - p_target)


def summary(scores: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Figures of scores ``(N,)`` with labels ``(N,)``.

    Returns:
        ``{"eer": percent, "eer_threshold": score, "min_dcf": {"0.05": …, "0.01": …}}``.

    Raises:
        ValueError: see :func:`check_scores`.
    """
    rates = error_rates(scores, labels)
    eer, threshold = equal_error_rate(rates)
    return {
        "eer": 100 * eer,
        "eer_threshold": threshold,
        "min_dcf": {str(p_target): min_dcf(rates, p_target) for p_target in P_TARGETS},
    }


def _below(counts: np.ndarray) -> np.ndarray:
    """Counts of trials under each threshold, ``(K - 1,)`` → ``(K,)``."""
    return np.concatenate(([0], np.cumsum(counts)))


def score_trials(
    embeddings: np.ndarray, enrol: np.ndarray, test: np.ndarray, others: np.ndarray | None = None
) -> np.ndarray:
    """Dot products of rows ``enrol (N,)`` and ``test (N,)`` of ``embeddings (U, D)``: ``(N,)``, six decimals.

    With embeddings from :func:`svmixer.inference.utterance.embed_utterances` this is the mean cosine over all
    pairs of crops (protocol ``crops``) or the cosine (``whole``); nothing is normalised here. ``others`` are
    what ``test`` has rows of, if not ``embeddings``.
    """
    others = embeddings if others is None else others
    scores = np.empty(len(enrol), dtype=np.float64)
    for start in range(0, len(enrol), _TRIALS_AT_A_TIME):
        block = slice(start, start + _TRIALS_AT_A_TIME)
        first, second = embeddings[enrol[block]], others[test[block]]
        scores[block] = np.einsum("nd,nd->n", first.astype(np.float64), second.astype(np.float64))
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


def eer_replicates(
    scores: np.ndarray, labels: np.ndarray, speakers: np.ndarray, replicates: int = 1000, seed: int = 0
) -> np.ndarray:
    """Equal error rates (fractions) of ``replicates`` draws of speakers, ``[replicates]``.

    Trials that share a speaker are not independent, so speakers are resampled, not trials (the joint
    bootstrap of Poh and Bengio, ICASSP 2007; for pairs, the vertex bootstrap of Snijders and Borgatti, 1999).
    One replicate draws as many speakers as the list has, with replacement; speaker *s* comes ``c_s`` times.
    Each copy stands for a person of its own with the same recordings:

    - a trial within one speaker counts ``c_s`` times, once for each copy;
    - a trial between speakers *s* and *t* counts ``c_s · c_t`` times, once for each pair of copies;
    - pairs of different copies of one speaker make no trial: they would be the same recordings twice.

    An interval is made of the replicates' percentiles (:func:`percentile_interval`).

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
    step = max(1, _WEIGHTS_AT_A_TIME // len(scores))
    blocks = [_weighted_eer(counts[i : i + step], *classes) for i in range(0, replicates, step)]
    return np.concatenate(blocks)


def percentile_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float] | None:
    """Ends of the central ``level`` share of the replicates; None when more than half of them are NaN."""
    values = values[~np.isnan(values)] if np.isnan(values).mean() <= 0.5 else values[:0]
    if not len(values):
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _weighted_eer(
    counts: np.ndarray, targets: tuple[np.ndarray, ...], nontargets: tuple[np.ndarray, ...]
) -> np.ndarray:
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
