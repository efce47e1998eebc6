"""Made trials: balanced, hard ones first, never twice, the same every time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from svmixer.lists import ListError, make_trials


def corpus(**counts: int) -> dict[str, str]:
    return {f"{speaker}-{i}": speaker for speaker, count in counts.items() for i in range(count)}


def test_small_set_has_every_target_pair():
    trials = make_trials(corpus(a=3, b=2))
    targets = {(enrol, test) for label, enrol, test in trials.rows() if label}
    assert targets == {("a-0", "a-1"), ("a-0", "a-2"), ("a-1", "a-2"), ("b-0", "b-1")}
    impostors = [(enrol, test) for label, enrol, test in trials.rows() if not label]
    assert len(impostors) == len(set(impostors)) == 4
    assert all(enrol[0] == "a" and test[0] == "b" for enrol, test in impostors)


def test_deterministic_and_seeded():
    utt2spk = corpus(a=30, b=30, c=30)
    first = list(make_trials(utt2spk, seed=1).rows())
    shuffled = dict(sorted(utt2spk.items(), reverse=True))
    assert list(make_trials(shuffled, seed=1).rows()) == first
    assert list(make_trials(utt2spk, seed=2).rows()) != first
    assert first == sorted(first, key=lambda row: row[1:])


def test_caps():
    trials = make_trials(corpus(a=50, b=50, c=50), max_utterances=10, max_targets=30)
    assert len(trials.utterances) <= 30
    targets = Counter(enrol[0] for label, enrol, _ in trials.rows() if label)
    assert targets == {"a": 30, "b": 30, "c": 30}
    assert int(np.sum(trials.labels == 0)) == 90


def test_fewer_impostors_only_if_pairs_are_too_few():
    # One speaker of 5 (10 target pairs) against one of 1: there are 5 impostor pairs in all.
    trials = make_trials(corpus(a=5, b=1))
    assert Counter(trials.labels.tolist()) == {1: 10, 0: 5}


SEX = {"a": "f", "b": "f", "c": "f", "d": "m", "e": "m"}
LANGUAGE = {"a": "it", "b": "it", "c": "fr", "d": "it", "e": "it"}


def pairs_of(speaker: str, trials) -> Counter:
    """Impostor trials of a speaker by the other speaker."""
    counts: Counter = Counter()
    for label, enrol, test in trials.rows():
        if not label and speaker in (enrol[0], test[0]):
            counts[test[0] if enrol[0] == speaker else enrol[0]] += 1
    return counts


def test_tiers_in_order():
    utt2spk = corpus(a=4, b=4, c=4, d=4, e=4)
    options = {"max_targets": 6, "max_per_impostor": 100}
    same_both = make_trials(utt2spk, attributes=(SEX, LANGUAGE), **options)
    # 6 targets a speaker, 16 pairs with any other speaker: the first tier is enough where there is one.
    assert pairs_of("a", same_both).keys() == {"b", "c"}
    assert pairs_of("b", same_both).keys() <= {"a", "c"}
    assert pairs_of("d", same_both) == {"e": 12}
    assert pairs_of("c", same_both).keys() <= {"a", "b"}
    assert pairs_of("a", same_both)["b"] == 12
    assert pairs_of("c", same_both).total() == 6
    # The other order of importance: c, the only one with its language, has no tier but the last.
    by_language = make_trials(utt2spk, attributes=(LANGUAGE, SEX), **options)
    assert pairs_of("d", by_language)["e"] >= 12
    assert pairs_of("a", by_language)["b"] >= 12


def test_turns_within_a_tier_and_cap_for_an_impostor():
    utt2spk = corpus(a=6, b=6, c=6, d=6)
    sex = {"a": "f", "b": "f", "c": "m", "d": "m"}
    trials = make_trials(utt2spk, attributes=(sex,), max_targets=15, max_per_impostor=5)
    # Each speaker takes 5 from its own sex, and 10 from the other in turns of one.
    pairs = Counter(enrol[0] + test[0] for label, enrol, test in trials.rows() if not label)
    assert pairs["ab"] == 10
    assert pairs["cd"] == 10
    assert pairs["ac"] + pairs["ad"] + pairs["bc"] + pairs["bd"] == 40
    assert all(pairs[name] >= 10 for name in ("ac", "ad", "bc", "bd"))


def test_when_all_tiers_are_through_the_hardest_give_more():
    sex = {"a": "f", "b": "f", "c": "m"}
    trials = make_trials(corpus(a=8, b=8, c=8), attributes=(sex,), max_targets=28, max_per_impostor=2)
    # a: 2 with b and 2 with c, then 24 more with b; b: 2 and 2, then 24 with a; c: 28 with both in turns.
    assert Counter(trials.labels.tolist()) == {1: 84, 0: 84}
    pairs = Counter(enrol[0] + test[0] for label, enrol, test in trials.rows() if not label)
    assert pairs == {"ab": 52, "ac": 16, "bc": 16}


def test_attributes_by_utterance_take_the_majority():
    utt2spk = corpus(a=3, b=3, c=3)
    language = {"a-0": "it", "a-1": "fr", "a-2": "fr", "b-0": "fr", "c-0": "it"}
    trials = make_trials(utt2spk, attributes=(language,), max_per_impostor=100)
    assert pairs_of("a", trials)["b"] == 6


def test_speakers_without_a_value_are_nobodys_kind():
    utt2spk = corpus(a=3, b=3, c=3, d=3)
    trials = make_trials(utt2spk, attributes=({"c": "x", "d": "x"},), max_per_impostor=1)
    assert pairs_of("c", trials)["d"] >= 2
    assert Counter(trials.labels.tolist()) == {1: 12, 0: 12}
    assert len(pairs_of("a", trials)) == 3


@pytest.mark.parametrize("utt2spk", [{}, corpus(a=5), corpus(a=1, b=1, c=1)])
def test_no_trials_possible(utt2spk):
    with pytest.raises(ListError, match="two speakers or more"):
        make_trials(utt2spk)


@pytest.mark.parametrize("limit", [{"max_utterances": 1}, {"max_targets": 0}, {"max_per_impostor": 0}])
def test_limits(limit):
    with pytest.raises(ValueError, match="at least"):
        make_trials(corpus(a=2, b=2), **limit)


def test_attribute_of_other_speakers():
    with pytest.raises(ValueError, match="attribute 2 knows none of the speakers or utterances, but 'z'"):
        make_trials(corpus(a=2, b=2), attributes=({"a": "f"}, {"z": "it"}))


def test_impostors_are_spread_over_the_speakers():
    utt2spk = corpus(**{f"s{i:02d}": 2 for i in range(30)})
    trials = make_trials(utt2spk)
    counts = Counter(name[:3] for label, *names in trials.rows() if not label for name in names)
    # 30 impostor trials have 60 sides, about two a speaker.
    assert counts.total() == 60
    assert max(counts.values()) <= 7


def test_targets_of_two_sessions():
    utt2spk = {f"{s}-{n}": s for s in "abc" for n in range(4)}
    sessions = {name: "1" if name[0] == "c" or int(name[2:]) < 2 else "2" for name in utt2spk}
    trials = make_trials(utt2spk, sessions=sessions)
    rows = list(trials.rows())
    targets = {(a, b) for label, a, b in rows if label}
    # Speaker c has one session.
    assert targets == {(f"{s}-{m}", f"{s}-{n}") for s in "ab" for m in (0, 1) for n in (2, 3)}
    assert sum(label == 0 for label, _, _ in rows) == len(targets)
    with pytest.raises(ListError, match="no speaker has utterances of two sessions"):
        make_trials(utt2spk, sessions=dict.fromkeys(utt2spk, "1"))
