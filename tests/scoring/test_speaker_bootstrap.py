"""Bootstrap over speakers: against physically repeated trials, known answers, pairing and memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svmixer.scoring import metrics
from svmixer.scoring.metrics import eer_replicates, equal_error_rate, error_rates, percentile_interval


def random_trials(seed, speakers=6, size=80, grid=10):
    """Scores on a coarse grid, labels that follow from the speakers."""
    random = np.random.default_rng(seed)
    pairs = random.integers(0, speakers, (size, 2))
    pairs[: size // 2, 1] = pairs[: size // 2, 0]
    labels = (pairs[:, 0] == pairs[:, 1]).astype(int)
    return np.round(random.normal(size=size) + labels, 1) * grid, labels, pairs


def repeated_eer(scores, labels, pairs, counts):
    """The definition taken literally: copies of speakers, and a trial for each pair of copies with one."""
    trials = []
    for score, label, (a, b) in zip(scores, labels, pairs, strict=True):
        if a == b:
            copies = counts[a]
        else:
            copies = sum(1 for _ in range(counts[a]) for _ in range(counts[b]))
        trials += [(score, label)] * copies
    if len({label for _, label in trials}) < 2:
        return np.nan
    return equal_error_rate(error_rates(*np.array(trials).T))[0]


def draws(seed, speakers, replicates):
    """Copies of each speaker in each replicate, drawn one speaker at a time from the same distribution."""
    return np.random.default_rng(seed).multinomial(speakers, [1 / speakers] * speakers, size=replicates)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(2, 8))
def test_equals_literally_repeated_trials(seed, speakers):
    scores, labels, pairs = random_trials(seed, speakers)
    pairs[0] = speakers - 1
    labels = (pairs[:, 0] == pairs[:, 1]).astype(int)
    if labels.all():
        return
    values = eer_replicates(scores, labels, pairs, replicates=5, seed=seed)
    expected = [repeated_eer(scores, labels, pairs, counts) for counts in draws(seed, speakers, 5)]
    np.testing.assert_allclose(values, expected, atol=1e-12)


def test_known_answer_two_kinds_of_speakers():
    """Speaker 0's target trials are all accepted, speaker 1's all rejected: only the share drawn matters.

    Non-target trials score 0.5, targets 1 and 0. With c copies of speaker 0 among two, the miss rate is
    1 - c/2 at a threshold above 0.5, so the EER is that where the line between (miss 1 - c/2, false alarm 1)
    and (1 - c/2, 0) meets the diagonal: 1 - c/2, whenever a non-target trial is left (c = 1, weight 1).
    """
    scores = np.array([1.0, 1.0, 0.0, 0.0, 0.5, 0.5])
    labels = np.array([1, 1, 1, 1, 0, 0])
    pairs = np.array([[0, 0], [0, 0], [1, 1], [1, 1], [0, 1], [1, 0]])
    values = eer_replicates(scores, labels, pairs, replicates=400, seed=3)
    drawn_both = ~np.isnan(values)
    assert set(values[drawn_both]) == {0.5}
    # Both speakers are drawn with probability 1/2; four standard deviations are 0.1.
    assert abs(drawn_both.mean() - 0.5) < 0.1


def test_known_distribution_of_the_miss_rate():
    """Three good speakers and one bad one, non-targets between two further speakers that are always easy.

    The EER is then fixed by the copies alone: compare its distribution with the exact multinomial one.
    """
    scores = np.array([1.0, 1.0, 1.0, -1.0, 0.0])
    labels = np.array([1, 1, 1, 1, 0])
    pairs = np.array([[0, 0], [1, 1], [2, 2], [3, 3], [0, 1]])
    values = eer_replicates(scores, labels, pairs, replicates=20_000, seed=1)
    values = values[~np.isnan(values)]
    # Exact: over all 256 ordered draws of four speakers, given that 0 and 1 are both drawn.
    exact = []
    for code in range(256):
        draw = [(code >> (2 * i)) & 3 for i in range(4)]
        if 0 in draw and 1 in draw:
            exact.append(draw.count(3) / 4)
    # Miss rate at every threshold above -1 and up to 1; false alarms fall from 1 to 0 within it.
    assert values.mean() == pytest.approx(np.mean(exact), abs=0.01)
    for share in (0.0, 0.25, 0.5):
        assert np.mean(values == share) == pytest.approx(np.mean(np.array(exact) == share), abs=0.02)


def test_interval_covers_the_point_estimate_and_shrinks_with_speakers():
    def width(speakers):
        scores, labels, pairs = random_trials(0, speakers, size=40 * speakers)
        low, high = percentile_interval(eer_replicates(scores, labels, pairs, 300, seed=0))
        assert low < equal_error_rate(error_rates(scores, labels))[0] < high
        return high - low

    assert width(64) < 0.6 * width(8)


def test_seed_fixes_the_draws_and_systems_are_paired():
    scores, labels, pairs = random_trials(4)
    first = eer_replicates(scores, labels, pairs, 50, seed=7)
    np.testing.assert_array_equal(first, eer_replicates(scores, labels, pairs, 50, seed=7))
    assert not np.array_equal(first, eer_replicates(scores, labels, pairs, 50, seed=8))
    # A rising map of the scores is another system with the same errors in every draw.
    np.testing.assert_allclose(
        first, eer_replicates(np.exp(scores / 10), labels, pairs, 50, seed=7), atol=1e-12
    )


def test_order_of_trials_does_not_matter():
    scores, labels, pairs = random_trials(5)
    order = np.random.default_rng(0).permutation(len(scores))
    expected = eer_replicates(scores, labels, pairs, 50, seed=1)
    np.testing.assert_allclose(
        eer_replicates(scores[order], labels[order], pairs[order], 50, seed=1), expected
    )


def test_blocks_do_not_change_the_result(monkeypatch):
    scores, labels, pairs = random_trials(6)
    whole = eer_replicates(scores, labels, pairs, 33, seed=2)
    monkeypatch.setattr(metrics, "_WEIGHTS_AT_A_TIME", 7 * len(scores))
    np.testing.assert_array_equal(eer_replicates(scores, labels, pairs, 33, seed=2), whole)


def test_memory_is_bounded_by_the_block(monkeypatch):
    """200 draws of 50,000 trials are 80 MB of weights, and several arrays of that size if taken at once."""
    scores, labels, pairs = random_trials(7, speakers=100, size=50_000)
    monkeypatch.setattr(metrics, "_WEIGHTS_AT_A_TIME", 1 << 20)
    tracemalloc.start()
    eer_replicates(scores, labels, pairs, 200, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6


def test_percentiles_by_hand():
    assert percentile_interval(np.arange(101.0), level=0.9) == pytest.approx((5.0, 95.0))
    # NaN draws are left out, and more than half of them leave nothing to say.
    assert percentile_interval(np.array([np.nan, 1.0, 3.0]), level=1.0) == (1.0, 3.0)
    assert percentile_interval(np.array([np.nan, np.nan, 1.0])) is None


def test_one_speaker_gives_no_interval():
    values = eer_replicates(np.array([0.0, 1.0]), np.array([0, 1]), np.array([[0, 1], [1, 1]]), 100, seed=0)
    assert np.isnan(values).any()
    with pytest.raises(ValueError, match="two speakers a trial"):
        eer_replicates(np.array([0.0, 1.0]), np.array([0, 1]), np.array([0, 1]), 10)
