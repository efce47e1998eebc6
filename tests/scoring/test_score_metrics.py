"""EER and minDCF: cases computed by hand, a second implementation, ESPnet's, ties and order."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svmixer.cli.main import run_program
from svmixer.scoring.metrics import equal_error_rate, error_rates, min_dcf, summary

# Time limits of single examples say nothing on a busy machine.
quiet = settings(deadline=None, max_examples=50)


def eer_of(targets, nontargets):
    labels = [1] * len(targets) + [0] * len(nontargets)
    return equal_error_rate(error_rates(np.array([*targets, *nontargets], float), np.array(labels)))


def dcf_of(targets, nontargets, p_target):
    labels = [1] * len(targets) + [0] * len(nontargets)
    return min_dcf(error_rates(np.array([*targets, *nontargets], float), np.array(labels)), p_target)


def slow_points(scores, labels):
    """Every operating point by counting, one threshold at a time."""
    targets = [s for s, y in zip(scores, labels, strict=True) if y]
    nontargets = [s for s, y in zip(scores, labels, strict=True) if not y]
    points = []
    for threshold in [*sorted(set(scores)), float("inf")]:
        miss = sum(s < threshold for s in targets) / len(targets)
        false_alarm = sum(s >= threshold for s in nontargets) / len(nontargets)
        points.append((miss, false_alarm))
    return points


def slow_eer(points):
    """Crossing of the ROC's line segments with miss = false alarm, by testing each segment."""
    for (miss, fa), (miss2, fa2) in itertools.pairwise(points):
        if miss <= fa and miss2 >= fa2:
            total = (fa - miss) + (miss2 - fa2)
            return miss if total == 0 else miss + (fa - miss) / total * (miss2 - miss)
    raise AssertionError("no crossing")


@st.composite
def scored_trials(draw):
    """Between 2 and 60 trials of both classes, scores from a coarse grid so that many are equal."""
    size = draw(st.integers(2, 60))
    scores = draw(st.lists(st.integers(-6, 6), min_size=size, max_size=size))
    labels = draw(
        st.lists(st.integers(0, 1), min_size=size, max_size=size).filter(lambda y: 0 < sum(y) < len(y))
    )
    return np.array(scores) / 4, np.array(labels)


def test_operating_points_by_hand():
    rates = error_rates(np.array([0.1, 0.4, 0.4, 0.8]), np.array([0, 1, 0, 1]))
    assert rates.thresholds.tolist() == [0.1, 0.4, 0.8, np.inf]
    assert rates.miss.tolist() == [0.0, 0.0, 0.5, 1.0]
    assert rates.false_alarm.tolist() == [1.0, 0.5, 0.0, 0.0]


def test_separable_classes_have_no_error_and_the_threshold_in_the_gap():
    assert eer_of([2.0, 3.0], [0.0, 1.0]) == (0.0, 1.5)


def test_one_swap_of_four():
    # Sorted: N N T N T T ... one of four targets below one of four non-targets.
    assert eer_of([0.3, 0.6, 0.7, 0.8], [0.1, 0.2, 0.15, 0.4]) == (0.25, pytest.approx(0.35))


def test_classes_of_different_size_cross_on_a_line():
    # At threshold 0.5 (miss 0, false alarm 1/2); above it (miss 1/3, false alarm 1/2)… the target at 0.5 is
    # rejected alone; then the non-target at 0.6 goes: (1/3, 0). The vertical line at miss 1/3 crosses at 1/3.
    eer, threshold = eer_of([0.5, 0.7, 0.8], [0.1, 0.6])
    assert eer == pytest.approx(1 / 3, abs=1e-12)
    assert threshold == 0.6


def test_all_scores_equal_is_chance():
    eer, threshold = eer_of([0.5] * 7, [0.5] * 3)
    assert (eer, threshold) == (0.5, 0.5)


def test_tie_of_both_classes_is_interpolated():
    # Points (miss, fa): (0, 1), (0, 1/2), (1/2, 0), (1, 0); the tied pair's line crosses at 1/4.
    eer, threshold = eer_of([0.4, 0.8], [0.1, 0.4])
    assert eer == pytest.approx(0.25, abs=1e-12)
    assert threshold == 0.4


def test_reversed_scores_are_all_wrong():
    assert eer_of([0.0, 0.1], [0.8, 0.9])[0] == 1.0


def test_min_dcf_by_hand():
    # Points (miss, fa): (0, 1), (0, 1/2), (1/2, 1/2), (1/2, 0), (1, 0).
    targets, nontargets = [0.3, 0.9], [0.1, 0.5]
    assert dcf_of(targets, nontargets, 0.05) == pytest.approx(0.5)
    # P = 0.9: the divisor is 0.1; 0.9·0 + 0.1·1/2 = 0.05 wins over 0.45.
    assert dcf_of(targets, nontargets, 0.9) == pytest.approx(0.5)
    assert dcf_of(targets, nontargets, 0.5) == pytest.approx(0.5)


def test_min_dcf_of_a_useless_system_is_one():
    assert dcf_of([0.1], [0.9], 0.01) == pytest.approx(1.0)
    assert dcf_of([0.5] * 3, [0.5] * 5, 0.05) == pytest.approx(1.0)


def test_min_dcf_single_false_alarm_weighs_by_the_prior():
    # 100 non-targets, one above all targets: rejecting it costs every target, keeping it 0.95·0.01 = 0.0095.
    targets, nontargets = [0.5] * 10, [0.9] + [0.0] * 99
    assert dcf_of(targets, nontargets, 0.05) == pytest.approx(0.95 * 0.01 / 0.05)
    assert dcf_of(targets, nontargets, 0.01) == pytest.approx(0.99 * 0.01 / 0.01)


def test_tied_pair_cannot_be_split_for_a_lower_cost():
    # A list order that puts the target first would let a careless scan accept it alone, at cost 0.
    for labels in ([1, 0, 0], [0, 0, 1]):
        rates = error_rates(np.array([0.7, 0.2, 0.7]), np.array(labels))
        assert min_dcf(rates, 0.05) == pytest.approx(1.0)


@quiet
@given(scored_trials(), st.randoms(use_true_random=False))
def test_order_of_trials_does_not_matter(trials, random):
    scores, labels = trials
    order = list(range(len(scores)))
    random.shuffle(order)
    assert summary(scores[order], labels[order]) == summary(scores, labels)


@quiet
@given(scored_trials())
def test_against_counting(trials):
    scores, labels = trials
    points = slow_points(scores.tolist(), labels.tolist())
    rates = error_rates(scores, labels)
    np.testing.assert_allclose(np.stack([rates.miss, rates.false_alarm], 1), points, atol=1e-12)
    assert equal_error_rate(rates)[0] == pytest.approx(slow_eer(points), abs=1e-12)
    for p_target in (0.01, 0.05, 0.3, 0.8):
        cost = min(p_target * miss + (1 - p_target) * fa for miss, fa in points) / min(p_target, 1 - p_target)
        assert min_dcf(rates, p_target) == pytest.approx(cost, abs=1e-12)


@quiet
@given(scored_trials())
def test_bounds_and_symmetry(trials):
    scores, labels = trials
    rates = error_rates(scores, labels)
    eer, threshold = equal_error_rate(rates)
    assert 0 <= eer <= 1
    assert scores.min() <= threshold <= scores.max()
    # Swapping the classes and turning the axis round changes nothing; neither does a rising map.
    assert equal_error_rate(error_rates(-scores, 1 - labels))[0] == pytest.approx(eer, abs=1e-12)
    assert equal_error_rate(error_rates(np.exp(scores), labels))[0] == pytest.approx(eer, abs=1e-12)
    assert 0 <= min_dcf(rates, 0.05) <= 1 + 1e-12


@quiet
@given(scored_trials())
def test_threshold_gives_the_eer(trials):
    """Below and above the threshold lie rates on either side of the EER."""
    scores, labels = trials
    eer, threshold = equal_error_rate(error_rates(scores, labels))
    accepted_at, accepted_above = scores >= threshold, scores > threshold
    for accepted, low, high in ((accepted_at, 0, eer), (accepted_above, eer, 1)):
        miss = np.mean(~accepted[labels == 1])
        assert low - 1e-9 <= miss <= high + 1e-9
    assert np.mean(accepted_above[labels == 0]) - 1e-9 <= eer <= np.mean(accepted_at[labels == 0]) + 1e-9


@pytest.fixture(scope="module")
def espnet():
    return pytest.importorskip("espnet2.utils.eer")


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(20, 300))
def test_against_espnet(espnet, seed, size):
    """ESPnet reports the operating point nearest to equal rates, so ours lies between that point's two rates.

    Its minDCF is the same as ours as long as no scores are equal.
    """
    random = np.random.default_rng(seed)
    labels = np.array([0, 1, *random.integers(0, 2, size)])
    scores = random.normal(size=len(labels)) + labels
    ours = error_rates(scores, labels)
    _, eer, fpr, fnr = espnet.tuneThresholdfromScore(scores, labels, [1, 0.1])
    nearest = np.argmin(np.abs(fpr - fnr))
    assert min(fpr[nearest], fnr[nearest]) - 1e-12 <= equal_error_rate(ours)[0] <= eer / 100 + 1e-12
    fnrs, fprs, thresholds = espnet.ComputeErrorRates(scores, labels)
    for p_target in (0.05, 0.01):
        expected, _ = espnet.ComputeMinDcf(fnrs, fprs, thresholds, p_target, 1, 1)
        assert min_dcf(ours, p_target) == pytest.approx(expected, abs=1e-9)


def test_against_espnet_on_many_trials(espnet):
    random = np.random.default_rng(0)
    labels = (random.random(20_000) < 0.3).astype(int)
    scores = random.normal(size=20_000) + 2 * labels
    _, eer, _, _ = espnet.tuneThresholdfromScore(scores, labels, [1, 0.1])
    assert summary(scores, labels)["eer"] == pytest.approx(eer, abs=0.05)
    # Two unit Gaussians two apart: the EER is that of half the distance, Φ(-1) = 15.87 %.
    assert summary(scores, labels)["eer"] == pytest.approx(15.87, abs=1.0)


def test_summary_is_in_percent():
    figures = summary(np.array([0.3, 0.6, 0.7, 0.8, 0.1, 0.2, 0.15, 0.4]), np.array([1] * 4 + [0] * 4))
    assert figures["eer"] == 25.0
    assert set(figures["min_dcf"]) == {"0.05", "0.01"}


@pytest.mark.parametrize(
    ("scores", "labels", "what"),
    [
        ([0.1, np.nan], [0, 1], "1 of 2 scores are not finite"),
        ([0.1, 0.2], [1, 1], "found 2 of 2 target"),
        ([0.1, 0.2], [0, 0], "found 0 of 2 target"),
        ([0.1, 0.2], [0, 2], "labels are 1"),
        ([0.1], [0, 1], "one score a label"),
    ],
)
def test_bad_input(scores, labels, what):
    with pytest.raises(ValueError, match=what):
        error_rates(np.array(scores), np.array(labels))


def test_bad_prior():
    with pytest.raises(ValueError, match="between 0 and 1"):
        min_dcf(error_rates(np.array([0.0, 1.0]), np.array([0, 1])), 1.0)


def test_groups_by_hand(tmp_path, capsys):
    # a and b are of one kind, c and d of the other.
    (tmp_path / "utt2sex").write_text("a f\nb f\nc m\nd m\n")
    (tmp_path / "trials").write_text("1 a b\n0 a c\n0 b d\n1 c d\n0 b a\n")
    (tmp_path / "scores").write_text("a b 0.9\na c 0.1\nb d 0.2\nc d 0.3\nb a 0.5\n")
    files = [str(tmp_path / name) for name in ("scores", "trials")]
    run_program("metrics", [*files, "--groups", f"[{tmp_path / 'utt2sex'}]", "--json"])
    groups = {one.pop("name"): one for one in json.loads(capsys.readouterr().out)["groups"]["utt2sex"]}
    assert groups == {
        "f": {"trials": 2, "targets": 1, "eer": 0.0, "misses": 0.0, "false_alarms": pytest.approx(100.0)},
        "f, m": {"trials": 2, "targets": 0, "eer": None, "misses": None, "false_alarms": 0.0},
        "m": {"trials": 1, "targets": 1, "eer": None, "misses": pytest.approx(0.0), "false_alarms": None},
    }
    run_program("metrics", [*files, "--groups", f"[{tmp_path / 'utt2sex'}]"])
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("utt2sex")]
    assert said[1] == f"{'utt2sex f, m':24} false alarms 0.00 % (2 trials, 0 of them target)"
    (tmp_path / "utt2sex").write_text("a f\nb f\nc m\n")
    with pytest.raises(SystemExit):
        run_program("metrics", [*files, "--groups", f"[{tmp_path / 'utt2sex'}]"])
    assert "utterance d: 1 of the 4 utterances" in capsys.readouterr().err
