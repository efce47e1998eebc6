"""EER, minDCF, actDCF, Cllr and min Cllr against scikit-learn, ESPnet and WeSpeaker's definitions.

ESPnet and WeSpeaker decide trials of one score one after the other, in the order of the list, so that their
figures depend on it where targets and others tie; they are compared on scores that do not.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import confusion_matrix, log_loss, roc_curve

from svmixer.cli.main import run_program
from svmixer.scoring.likelihood_ratio import actual_dcf, cllr, min_cllr
from svmixer.scoring.metrics import equal_error_rate, error_rates, min_dcf

PRIORS = (0.01, 0.05, 0.5)
CLOSE = 1e-6


def trials(
    seed: int, targets: int = 400, others: int = 900, decimals: int = 9
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of two overlapping normal distributions, and labels; few decimals make equal scores."""
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.normal(1.5, 1.0, targets), rng.normal(-1.0, 1.3, others)])
    order = rng.permutation(len(scores))
    return np.round(scores, decimals)[order], np.repeat([1, 0], [targets, others])[order]


def ties_within_classes(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Equal scores, but none of a target and of another trial."""
    scores, labels = trials(seed, decimals=1)
    return scores + 0.01 * labels, labels


CASES = [trials(0), trials(1, 5, 2000), trials(2, 700, 30), trials(3, decimals=1), trials(4, decimals=0)]
UNTIED = [trials(0), trials(1, 5, 2000), trials(2, 700, 30), ties_within_classes(5), ties_within_classes(6)]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_error_rates_of_scikit_learn(case):
    scores, labels = CASES[case]
    rates = error_rates(scores, labels)
    false_alarm, hit, _ = roc_curve(labels, scores, drop_intermediate=False)
    # Where the ROC curve, drawn as straight lines, meets the other diagonal. Rising in x, too, for interp1d.
    curve = interp1d(false_alarm + 1e-12 * np.arange(len(hit)), hit, bounds_error=False, fill_value=(0, 1))
    eer = brentq(lambda x: 1.0 - x - curve(x), 0.0, 1.0, xtol=1e-14)
    assert equal_error_rate(rates)[0] == pytest.approx(eer, abs=CLOSE)
    for prior in PRIORS:
        costs = prior * (1 - hit) + (1 - prior) * false_alarm
        assert min_dcf(rates, prior) == pytest.approx(costs.min() / min(prior, 1 - prior), abs=CLOSE)


@pytest.mark.parametrize("case", range(len(CASES)))
def test_costs_of_ratios_by_scikit_learn(case):
    ratios, labels = CASES[case]
    balanced = np.where(labels == 1, 0.5 / labels.sum(), 0.5 / (labels == 0).sum())
    expected = log_loss(labels, 1 / (1 + np.exp(-ratios)), sample_weight=balanced) / np.log(2)
    assert cllr(ratios, labels) == pytest.approx(expected, abs=CLOSE)
    posterior = IsotonicRegression(y_min=0, y_max=1).fit(ratios, labels, balanced).predict(ratios)
    with np.errstate(divide="ignore"):
        bits = -np.where(labels == 1, np.log2(posterior), np.log2(1 - posterior))
    assert min_cllr(ratios, labels) == pytest.approx(np.sum(balanced * bits), abs=CLOSE)
    for prior in PRIORS:
        accepted = ratios >= np.log((1 - prior) / prior)
        (_, alarms), (misses, _) = confusion_matrix(labels, accepted, normalize="true")
        expected = (prior * misses + (1 - prior) * alarms) / min(prior, 1 - prior)
        assert actual_dcf(ratios, labels, prior) == pytest.approx(expected, abs=CLOSE)


@pytest.mark.parametrize("case", range(len(UNTIED)))
def test_error_rates_of_espnet(case):
    espnet = pytest.importorskip("espnet2.utils.eer")
    scores, labels = UNTIED[case]
    rates = error_rates(scores, labels)
    points = espnet.ComputeErrorRates(scores.tolist(), labels.tolist())
    for prior in PRIORS[:2]:
        assert min_dcf(rates, prior) == pytest.approx(
            espnet.ComputeMinDcf(*points, prior, 1, 1)[0], abs=CLOSE
        )
    # It takes the point nearest to equal rates, of which ours is on the line.
    _, percent, _, _ = espnet.tuneThresholdfromScore(scores, labels, [1.0])
    steps = 1 / labels.sum() + 1 / (labels == 0).sum()
    assert equal_error_rate(rates)[0] <= percent / 100 + CLOSE
    misses, alarms = map(np.array, points[:2])
    nearest = np.argmin(np.abs(misses - alarms))
    assert abs(equal_error_rate(rates)[0] - max(misses[nearest], alarms[nearest])) < steps


@pytest.mark.parametrize("seed", range(5))
def test_equal_error_rate_of_espnet_on_classes_of_one_size(seed):
    """A point with equal rates exists then, and both give it."""
    espnet = pytest.importorskip("espnet2.utils.eer")
    scores, labels = trials(seed, 600, 600)
    misses, alarms, _ = espnet.ComputeErrorRates(scores.tolist(), labels.tolist())
    nearest = int(np.argmin(np.abs(np.array(misses) - np.array(alarms))))
    assert equal_error_rate(error_rates(scores, labels))[0] == pytest.approx(misses[nearest], abs=CLOSE)


def wespeaker(scores: np.ndarray, labels: np.ndarray, prior: float) -> tuple[float, float]:
    """EER and minDCF as WeSpeaker defines them, trial by trial: thresholds are the scores, a trial at the
    threshold is rejected; the EER lies on the line between the points around equal rates.
    """
    targets, others = int(sum(labels)), int(sum(1 - labels))
    points, missed, rejected = [], 0, 0
    for _, label in sorted(zip(scores.tolist(), labels.tolist(), strict=True)):
        missed, rejected = missed + label, rejected + 1 - label
        points.append((missed / targets, 1 - rejected / others))
    lowest = min(prior * miss + (1 - prior) * alarm for miss, alarm in points) / min(prior, 1 - prior)
    before = max(number for number, (miss, alarm) in enumerate(points) if miss < alarm)
    (miss, alarm), (next_miss, next_alarm) = points[before], points[before + 1]
    share = (alarm - miss) / ((alarm - miss) - (next_alarm - next_miss))
    return miss + share * (next_miss - miss), lowest


@pytest.mark.parametrize("case", range(len(UNTIED)))
def test_error_rates_of_wespeaker(case):
    scores, labels = UNTIED[case]
    rates = error_rates(scores, labels)
    for prior in PRIORS[:2]:
        eer, lowest = wespeaker(scores, labels, prior)
        assert equal_error_rate(rates)[0] == pytest.approx(eer, abs=CLOSE)
        assert min_dcf(rates, prior) == pytest.approx(lowest, abs=CLOSE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.5 1\n0.4 1\n", "error rates need target and non-target trials; found 2 of 2 target"),
        ("0.5 0\n0.4 0\n", "found 0 of 2 target"),
        ("0.5 1\n0.4 0\nnan 1\n", "scores:3: the score is nan"),
        ("0.5 1\n-inf 0\n", "scores:2: the score is -inf"),
    ],
)
def test_scores_that_have_no_error_rate(tmp_path, monkeypatch, capsys, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scores").write_text(text)
    with pytest.raises(SystemExit) as stop:
        run_program("metrics", ["scores"])
    assert stop.value.code == 1
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_two_million_trials(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scores, labels = trials(9, 500_000, 1_500_000, decimals=6)
    names = [f"u{n // 2000} v{n % 2000}" for n in range(len(scores))]
    pairs = list(zip(names, scores.tolist(), labels.tolist(), strict=True))
    (tmp_path / "scores").write_text("".join(f"{name} {score:.6f}\n" for name, score, _ in pairs))
    (tmp_path / "trials").write_text("".join(f"{label} {name}\n" for name, _, label in reversed(pairs)))
    run_program("metrics", ["scores", "trials", "--llr", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["trials"], found["targets"]) == (2_000_000, 500_000)
    false_alarm, hit, _ = roc_curve(labels, scores, drop_intermediate=False)
    nearest = np.argmin(np.abs(1 - hit - false_alarm))
    assert found["eer"] == pytest.approx(100 * false_alarm[nearest], abs=1e-3)
    lowest = np.min(0.05 * (1 - hit) + 0.95 * false_alarm) / 0.05
    assert found["min_dcf"]["0.05"] == pytest.approx(lowest, abs=CLOSE)
