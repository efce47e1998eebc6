"""Fitting the calibration of an exported model: trials of speakers outside its training in several
conditions, weights and thresholds; and what these do on each set when it took no part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from svmixer.errors import SvmixerError
from svmixer.inference.calibration import STANDARD, OperatingPoint
from svmixer.inference.normalisation import cohort_statistics, normalise
from svmixer.inference.utterance import unit_length
from svmixer.inference.verification import enrol
from svmixer.scoring.logistic import logistic_regression

# Shares of false accepts that thresholds are kept for, besides the equal error rate.
SHARES = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005)
# Share of false accepts of each operating point by name.
NAMED = {STANDARD: 0.01, "strict": 0.001}
# Below so many expected false accepts a share is not known.
FEWEST = 10


@dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings of one set in one condition: of utterances, or of enrolments from several."""

    vectors: np.ndarray  # (N, D)
    speakers: np.ndarray  # (N,)
    utterances: np.ndarray  # (N, n), the names of those that each is of


@dataclass(frozen=True, eq=False)
class TrialGroup:
    """All trials of one set in one condition."""

    name: str  # of the set
    condition: str
    telephone_sides: int
    scores: np.ndarray  # float64 (T,), after AS-norm
    targets: np.ndarray  # bool (T,)


def trial_group(
    name: str,
    condition: str,
    telephone_sides: int,
    enrolled: Embedded,
    test: Embedded,
    cohort: np.ndarray,
    top: int,
) -> TrialGroup:
    """Every pair of an enrolment and a test utterance that it was not made from; with the same recordings on
    both sides, every two once.

    Raises:
        SvmixerError: no target or no non-target trial.
    """
    first, second = unit_length(enrolled.vectors), unit_length(test.vectors)
    mean, deviation = cohort_statistics(np.concatenate([first, second]), cohort, top)
    apart = (enrolled.utterances[:, None, :] != test.utterances[None, :, 0, None]).all(axis=-1)
    # The two orders of a pair have one score, and are no more evidence than one.
    rows, columns = np.nonzero(np.triu(apart) if enrolled is test else apart)
    cosines = (first.astype(np.float64) @ second.T.astype(np.float64))[rows, columns]
    targets = enrolled.speakers[rows] == test.speakers[columns]
    if targets.all() or not targets.any():
        raise SvmixerError(f"{name}: needs two speakers or more, and a speaker with two utterances")
    scores = normalise(cosines, rows, len(first) + columns, mean, deviation)
    return TrialGroup(name, condition, telephone_sides, scores, targets)


def fit(groups: Sequence[TrialGroup]) -> np.ndarray:
    """(slope, offset) of the log-likelihood ratio; all groups weigh the same."""
    scores = np.concatenate([group.scores for group in groups])
    targets = np.concatenate([group.targets for group in groups])
    weights = []
    for group in groups:
        counts = np.array([np.count_nonzero(~group.targets), np.count_nonzero(group.targets)])
        weights.append((1.0 / counts)[group.targets.astype(np.int64)])
    return logistic_regression(scores[:, None], targets, np.concatenate(weights))


def ratios(group: TrialGroup, weights: np.ndarray) -> np.ndarray:
    """Log-likelihood ratios ``(T,)``."""
    return weights[0] * group.scores + weights[1]


def operating_point(groups: Sequence[TrialGroup], weights: np.ndarray, ratio: float) -> OperatingPoint:
    """What a threshold does on the mean of the groups."""
    accepted = [ratios(group, weights) >= ratio for group in groups]
    false_accepts = [a[~group.targets].mean() for a, group in zip(accepted, groups, strict=True)]
    false_rejects = [1 - a[group.targets].mean() for a, group in zip(accepted, groups, strict=True)]
    return OperatingPoint(ratio, float(np.mean(false_accepts)), float(np.mean(false_rejects)))


def threshold(groups: Sequence[TrialGroup], weights: np.ndarray, share: float) -> float:
    """The lowest ratio that no group accepts more than ``share`` of its non-target trials at.

    Groups whose trials are too few to tell do not count.
    """
    return max(
        share_threshold(ratios(group, weights)[~group.targets], share)
        for group in groups
        if shows(group, share)
    )


def share_threshold(nontargets: np.ndarray, share: float) -> float:
    """The lowest ratio from which on no more than ``share`` of the non-target trials' ratios ``(N,)`` lie."""
    # That many may be accepted; a share of 0.29 of 100 is 28.999… in floats.
    most = int(share * len(nontargets) + 1e-9)
    refused = len(nontargets) - 1 - most
    return float(np.nextafter(np.partition(nontargets, refused)[refused], np.inf))


def shows(group: TrialGroup, share: float) -> bool:
    """Whether a group has trials enough for a share of false accepts."""
    return share * np.count_nonzero(~group.targets) >= FEWEST


def balanced(groups: Sequence[TrialGroup], weights: np.ndarray) -> float:
    """The ratio at which the mean rates of false accepts and of false rejects are equal, to 0.001."""
    low, high = -50.0, 50.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        point = operating_point(groups, weights, middle)
        low, high = (middle, high) if point.false_accepts > point.false_rejects else (low, middle)
    return high


def shares_shown(groups: Sequence[TrialGroup]) -> list[float]:
    """Those of :data:`SHARES` that some group has trials enough for."""
    return [share for share in SHARES if any(shows(group, share) for group in groups)]


def held_back(groups: Sequence[TrialGroup], share: float) -> dict[str, dict[str, dict[str, float]]]:
    """Rates of each set at the threshold for ``share`` that the other sets give, in percent.

    Returns:
        set → condition → ``false_accepts``, ``false_rejects``; with one set alone nothing.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name in dict.fromkeys(group.name for group in groups):
        others = [group for group in groups if group.name != name]
        if not others:
            return {}
        weights = fit(others)
        ratio = threshold(others, weights, share)
        found[name] = {}
        for group in groups:
            if group.name == name:
                point = operating_point([group], weights, ratio)
                found[name][group.condition] = {
                    "false_accepts": 100 * point.false_accepts, "false_rejects": 100 * point.false_rejects,
                }  # fmt: skip
    return found


def calibrate(groups: Sequence[TrialGroup]) -> dict[str, Any]:
    """Maps by telephone sides, with operating points, and held-back rates, as ``calibration.json`` has them.

    Raises:
        SvmixerError: too few trials for the standard operating point.
    """
    classes = sorted({group.telephone_sides for group in groups})
    of_class = {sides: [group for group in groups if group.telephone_sides == sides] for sides in classes}
    # First: it refuses groups of too few trials.
    maps = {str(sides): calibration_map(alike) for sides, alike in of_class.items()}
    rates: dict[str, dict[str, Any]] = {}
    for alike in of_class.values():
        for name, conditions in held_back(alike, NAMED[STANDARD]).items():
            rates.setdefault(name, {}).update(conditions)
    return {"maps": maps, "held_back": rates}


def calibration_map(groups: Sequence[TrialGroup]) -> dict[str, Any]:
    """Slope, offset and thresholds by groups with one number of telephone sides.

    The share of false accepts of a threshold holds in every group, false rejects are those of their mean. The
    point ``balanced`` has the mean of both.

    Raises:
        SvmixerError: too few trials for the standard operating point.
    """
    weights, shown = fit(groups), shares_shown(groups)
    fewest = min(groups, key=lambda group: np.count_nonzero(~group.targets))
    if not shows(fewest, NAMED[STANDARD]):
        found = np.count_nonzero(~fewest.targets)
        needed = round(FEWEST / NAMED[STANDARD])
        raise SvmixerError(
            f"{fewest.name}, {fewest.condition}: {found} non-target trials, at least {needed} are needed; "
            "take more utterances (--utterances) or a larger set"
        )
    rows, ratio = [], -np.inf
    for share in shown:
        # A smaller share never has a lower threshold, though fewer groups tell what it takes.
        ratio = max(ratio, threshold(groups, weights, share))
        point = operating_point(groups, weights, ratio)
        rows.append({"ratio": point.ratio, "false_accepts": share, "false_rejects": point.false_rejects})
    named = {name: rows[shown.index(share)] for name, share in NAMED.items() if share in shown}
    named["balanced"] = vars(operating_point(groups, weights, balanced(groups, weights)))
    slope, offset = weights.tolist()
    return {"slope": slope, "offset": offset, "operating_points": named, "table": rows}


def repeated_enrolment(embedded: Embedded, count: int, seed: int = 0) -> Embedded:
    """Two enrolments of ``count`` utterances, drawn at random, of each speaker who has more of them."""
    rng = np.random.default_rng(seed)
    vectors, speakers, names = [], [], []
    for speaker in np.unique(embedded.speakers):
        rows = np.flatnonzero(embedded.speakers == speaker)
        for _ in range(2 if len(rows) > count else 0):
            chosen = rng.permutation(rows)[:count]
            vectors.append(enrol(list(embedded.vectors[chosen])))
            speakers.append(speaker)
            names.append(embedded.utterances[chosen, 0])
    if not vectors:
        raise SvmixerError(f"calibration: no speaker has more than {count} utterances")
    return Embedded(np.array(vectors), np.array(speakers), np.array(names))


def evenly(items: Sequence[Any], count: int) -> list[Any]:
    """``count`` of the items, evenly spaced; all if there are no more."""
    if len(items) <= count:
        return list(items)
    return [items[len(items) * number // count] for number in range(count)]
