import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from svmixer.training.data import BatchPlan, epoch_batches, epoch_order, steps_per_epoch


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(0, 3), st.integers(1, 5))
def test_without_balance_an_epoch_takes_every_item_once(speakers, seed, epoch):
    order = epoch_order(np.array(speakers), seed, epoch)
    assert sorted(order.tolist()) == list(range(len(speakers)))


def test_order_depends_on_seed_and_epoch_alone():
    speakers = np.repeat(np.arange(5), 8)
    first = epoch_order(speakers, 3, 1)
    assert np.array_equal(first, epoch_order(speakers, 3, 1))
    assert not np.array_equal(first, epoch_order(speakers, 3, 2))
    assert not np.array_equal(first, epoch_order(speakers, 4, 1))


def test_speakers_are_spread_over_the_epoch():
    # 4 speakers with 25 items: any window of 8 positions holds each speaker 1 to 3 times, by the stratified
    # positions.
    speakers = np.repeat(np.arange(4), 25)
    order = epoch_order(speakers, 0, 1)
    for start in range(0, 92, 4):
        counts = np.bincount(speakers[order[start : start + 8]], minlength=4)
        assert counts.min() >= 1 and counts.max() <= 3


def test_full_balance_takes_speakers_equally_often():
    speakers = np.repeat([0, 1, 2], [30, 6, 3])
    order = epoch_order(speakers, 0, 1, balance=1.0)
    assert np.bincount(speakers[order]).tolist() == [13, 13, 13]
    # The small speaker's items repeat evenly: 13 draws of 3 items.
    assert sorted(np.bincount(order, minlength=39)[36:].tolist()) == [4, 4, 5]
    # The large speaker's other items come in other epochs.
    seen = set()
    for epoch in range(1, 12):
        drawn = epoch_order(speakers, 0, epoch, balance=1.0)
        seen.update(drawn[drawn < 30].tolist())
    assert seen == set(range(30))


def test_half_balance_takes_square_roots():
    speakers = np.repeat([0, 1], [90, 10])
    order = epoch_order(speakers, 0, 1, balance=0.5)
    # sqrt(90) : sqrt(10) = 3 : 1 of 100 items
    assert np.bincount(speakers[order]).tolist() == [75, 25]


def test_global_batches_do_not_depend_on_the_number_of_ranks():
    order = np.arange(23)
    single = epoch_batches(order, 4, 1, 0, 1, 1)
    pair = [epoch_batches(order, 2, 1, rank, 2, 1) for rank in (0, 1)]
    assert len(single) == len(pair[0]) == len(pair[1]) == 5
    for whole, *parts in zip(single, *pair, strict=True):
        assert sorted(whole) == sorted([item for part in parts for item in part])


def test_accumulation_keeps_whole_steps_only_and_skip_continues():
    order = np.arange(23)
    batches = epoch_batches(order, 2, 3, 0, 1, 7)
    assert steps_per_epoch(23, 2, 3, 1) == 3
    assert len(batches) == 9 and batches[0] == [(7, 0), (7, 1)]
    assert epoch_batches(order, 2, 3, 0, 1, 7, skip=2) == batches[6:]


@given(st.integers(1, 3), st.integers(1, 2), st.lists(st.integers(0, 14), min_size=2, max_size=2))
def test_stretches_do_not_depend_on_where_they_are_cut(accumulate, world, ends):
    speakers = np.repeat(np.arange(3), 9)
    plan = BatchPlan(speakers, 1, 0.5, 2, accumulate, world - 1, world)
    first, last = sorted(ends)
    whole = plan.batches(0, 14)
    assert len(whole) == 14 * accumulate
    assert plan.batches(first, last) == whole[first * accumulate : last * accumulate]


def test_a_stretch_goes_through_passes():
    speakers = np.repeat(np.arange(3), 4)
    plan = BatchPlan(speakers, 5, 0.0, 2, 2, 0, 1)
    assert plan.steps == 3 and plan.utterances_per_step == 4
    passes = [epoch_batches(epoch_order(speakers, 5, n), 2, 2, 0, 1, n) for n in (1, 2, 3)]
    assert plan.batches(2, 7) == passes[0][4:] + passes[1] + passes[2][:2]


def neighbours(order, values):
    """The values of items 2 k and 2 k + 1 of an order, (pairs, 2)."""
    return values[order[: len(order) // 2 * 2].reshape(-1, 2)]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=60), st.integers(1, 4))
def test_pairs_are_of_one_speaker_and_of_two_sessions_where_that_is_possible(items, epoch):
    speakers, sessions = np.array(items).T
    order = epoch_order(speakers, 0, epoch, sessions=sessions)
    assert sorted(order.tolist()) == list(range(len(items)))
    pairs = sum(count // 2 for count in np.bincount(speakers))
    found = order[: 2 * pairs].reshape(-1, 2)
    assert (speakers[found[:, 0]] == speakers[found[:, 1]]).all()
    for speaker in np.unique(speakers):
        counts = np.bincount(sessions[speakers == speaker])
        same = sum(sessions[a] == sessions[b] for a, b in found if speakers[a] == speaker)
        # What the largest session has beyond half of the items can only meet its own.
        assert same <= max(0, counts.max() - counts.sum() // 2)


def test_pairs_of_a_batch_stay_on_one_rank():
    speakers, sessions = np.repeat(np.arange(6), 4), np.tile([0, 0, 1, 1], 6)
    plans = [BatchPlan(speakers, 0, 0.0, 4, 1, rank, 2, sessions) for rank in (0, 1)]
    whole = BatchPlan(speakers, 0, 0.0, 8, 1, 0, 1, sessions).batches(0, 3)
    parts = [plan.batches(0, 3) for plan in plans]
    for step in range(3):
        assert sorted(whole[step]) == sorted(parts[0][step] + parts[1][step])
    for batch in whole + parts[0] + parts[1]:
        items = np.array([item for _, item in batch])
        pairs = neighbours(items, speakers)
        assert (pairs[:, 0] == pairs[:, 1]).all()
        pairs = neighbours(items, sessions)
        assert (pairs[:, 0] != pairs[:, 1]).all()


def test_pairs_of_repeated_items():
    """With balance a speaker's two items come several times: still one of each session in every pair."""
    speakers, sessions = np.array([0] * 20 + [1, 1]), np.array([0, 1] * 10 + [0, 1])
    order = epoch_order(speakers, 0, 1, balance=1.0, sessions=sessions)
    assert np.bincount(speakers[order]).tolist() == [11, 11]
    small = order[:20].reshape(-1, 2)[speakers[order[:20:2]] == 1]
    assert len(small) == 5 and (sessions[small[:, 0]] != sessions[small[:, 1]]).all()
