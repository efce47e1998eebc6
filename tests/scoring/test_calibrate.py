"""Fitting a calibration: trials of made-up embeddings whose rates are known."""

from __future__ import annotations

import numpy as np
import pytest

from svmixer.scoring.calibrate import (
    Embedded,
    TrialGroup,
    calibrate,
    evenly,
    repeated_enrolment,
    threshold,
    trial_group,
)


def embedded(seed: int, speakers: int = 12, each: int = 5, spread: float = 0.5, size: int = 24) -> Embedded:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((speakers, size))
    names = np.repeat(np.arange(speakers), each)
    vectors = centres[names] + spread * rng.standard_normal((len(names), size))
    utterances = np.array([f"u{row}" for row in range(len(names))])
    return Embedded(vectors.astype(np.float32), names, utterances[:, None])


COHORT = np.random.default_rng(9).standard_normal((50, 24)).astype(np.float32)
COHORT /= np.linalg.norm(COHORT, axis=1, keepdims=True)


def group(name: str, seed: int, spread: float = 0.5, sides: int = 0) -> TrialGroup:
    one = embedded(seed, spread=spread)
    return trial_group(name, "none:none", sides, one, one, COHORT, 20)


def test_trials_are_all_pairs_but_those_with_itself():
    found = group("a", 0)
    # Every two once: the other way round it is the same trial.
    assert len(found.targets) == 60 * 59 / 2 and found.targets.sum() == 12 * 5 * 4 / 2
    several = repeated_enrolment(embedded(0), 3)
    assert several.vectors.shape == (24, 24) and several.utterances.shape == (24, 3)
    np.testing.assert_allclose(np.linalg.norm(several.vectors, axis=1), 1, rtol=1e-5)
    # 24 enrolments; of each the three utterances that it is made of are left out.
    trials = trial_group("a", "3", 0, several, embedded(0), COHORT, 20)
    assert len(trials.targets) == 24 * 57 and trials.targets.sum() == 24 * 2


def test_thresholds_hold_their_share_and_no_more():
    scores = np.arange(1000.0)
    one = TrialGroup("a", "x", 0, np.append(scores, 2000.0), np.append(np.zeros(1000, bool), True))
    weights = np.array([1.0, 0.0])
    # Ten of a thousand lie at 990 and above.
    assert threshold([one], weights, 0.01) == pytest.approx(989, abs=1e-9)
    low = TrialGroup("b", "x", 0, np.array([5000.0, 6000.0]), np.array([False, True]))
    # Too few trials to tell.
    assert threshold([one, low], weights, 0.01) == pytest.approx(989, abs=1e-9)


def test_promised_rates_hold_in_every_group_and_weights_are_sensible():
    groups = [group("a", 0), group("b", 1, 0.7), group("a", 2, 1.0, sides=2), group("b", 3, 1.0, sides=2)]
    found = calibrate(groups)
    assert set(found["maps"]) == {"0", "2"} and set(found["held_back"]) == {"a", "b"}
    for sides, values in found["maps"].items():
        assert values["slope"] > 0
        for row in values["table"]:
            for one in (one for one in groups if one.telephone_sides == int(sides)):
                ratios = values["slope"] * one.scores + values["offset"]
                accepted = (ratios >= row["ratio"])[~one.targets].mean()
                assert accepted <= row["false_accepts"] + 1e-12
        even = values["operating_points"]["balanced"]
        assert even["false_accepts"] == pytest.approx(even["false_rejects"], abs=0.02)
    # The harder condition rejects more.
    rejects = [found["maps"][sides]["operating_points"]["standard"]["false_rejects"] for sides in "02"]
    assert rejects[0] < rejects[1]


def test_held_back_rates_are_of_the_other_sets():
    # The same embeddings under two names: what one gives holds for the other.
    found = calibrate([group("a", 0), group("b", 0)])
    rates = found["held_back"]
    assert rates["a"] == rates["b"]
    assert rates["a"]["none:none"]["false_accepts"] == pytest.approx(1.0, abs=0.05)
    assert calibrate([group("a", 0)])["held_back"] == {}


def test_too_few_trials():
    one = embedded(0, speakers=3, each=4)
    with pytest.raises(ValueError, match=r"a, none:none: 48 non-target trials, at least 1000 are needed"):
        calibrate([trial_group("a", "none:none", 0, one, one, COHORT, 20)])
    # Of two sets, too, before one is measured at the threshold of the other.
    few = trial_group("b", "none:none", 0, one, one, COHORT, 20)
    with pytest.raises(ValueError, match=r"b, none:none: 48 non-target trials, at least 1000 are needed"):
        calibrate([group("a", 0), few])
    with pytest.raises(ValueError, match="no speaker has more than 4 utterances"):
        repeated_enrolment(one, 4)


def test_smaller_shares_never_have_lower_thresholds():
    """Though the set that needs the highest threshold has too few trials for the smallest shares."""
    rng = np.random.default_rng(0)
    groups = [
        TrialGroup(name, "x", 0, np.concatenate([rng.normal(mean, 1, count), rng.normal(6, 1, 300)]),
                   np.repeat([False, True], [count, 300]))
        for name, mean, count in (("hard", 3.0, 1500), ("easy", 0.0, 50000))
    ]  # fmt: skip
    (values,) = calibrate(groups)["maps"].values()
    thresholds = [row["ratio"] for row in values["table"]]
    assert thresholds == sorted(thresholds)
    points = values["operating_points"]
    assert points["strict"]["ratio"] >= points["standard"]["ratio"]


def test_evenly():
    assert evenly(range(10), 5) == [0, 2, 4, 6, 8] and evenly("ab", 5) == ["a", "b"]
