import pytest

from svmixer.training.schedule import Schedule, ScheduleConfig


def test_plateau_halves_after_patience_and_stops():
    schedule = Schedule(ScheduleConfig(kind="plateau", patience=2, stop_after=5), 0.8, total_steps=100)
    assert schedule.lr(0) == 0.8
    verdicts, rates = [], []
    for metric in (5.0, 4.0, 4.0, 4.5, 4.0, 4.2, 4.1):
        verdicts.append(schedule.epoch_end(metric))
        rates.append(schedule.lr(0))
    # best at the second epoch; no gain in 3, 4 → half; 5, 6 → half again; the fifth epoch without gain stops
    assert rates == [0.8, 0.8, 0.8, 0.4, 0.4, 0.2, 0.2]
    assert verdicts == [False] * 6 + [True]


def test_warmup_rises_linearly():
    schedule = Schedule(ScheduleConfig(kind="plateau", warmup_steps=4), 1.0, 100)
    assert [schedule.lr(step) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_cosine_values():
    schedule = Schedule(ScheduleConfig(kind="cosine", floor=0.1), 2.0, 8)
    assert schedule.lr(0) == 2.0
    assert schedule.lr(4) == pytest.approx(2.0 * (0.1 + 0.9 * 0.5))
    assert schedule.lr(8) == pytest.approx(0.2)
    assert schedule.lr(20) == pytest.approx(0.2)


def test_state_round_trip_continues_the_same():
    config = ScheduleConfig(kind="plateau", patience=2, stop_after=3)
    one, metrics = Schedule(config, 1.0, 10), [3.0, 3.5, 3.2, 3.1]
    expected = [(one.epoch_end(metric), one.lr(0)) for metric in metrics]
    two = Schedule(config, 1.0, 10)
    found = []
    for metric in metrics:
        fresh = Schedule(config, 1.0, 10)
        fresh.load_state_dict(two.state_dict())
        two = fresh
        found.append((two.epoch_end(metric), two.lr(0)))
    assert found == expected


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="linear"):
        ScheduleConfig(kind="linear")
