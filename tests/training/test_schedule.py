"""Learning rates by hand, the optimiser of each step, refusal of keys that phases replace."""

import math

import pytest
import torch

from svmixer.config import ConfigError, from_dict
from svmixer.training.config import LoopConfig
from svmixer.training.schedule import (
    PhaseConfig,
    PhasedSchedule,
    Schedule,
    ScheduleConfig,
    locate,
    make_optimizer,
    total_steps,
)

RISE_AND_FALL = PhaseConfig("adamw", steps=9, lr=1.0, start_lr=0.2, warmup_steps=4, final_lr=0.1)
LATER = PhaseConfig("sgd", steps=3, lr=10.0, final_lr=2.0, momentum=0.8, weight_decay=0.5)


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


def test_learning_rates_of_a_phase():
    rise = [0.2, 0.4, 0.6, 0.8]
    fall = [0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * k / 4)) for k in range(5)]
    assert [RISE_AND_FALL.lr_at(step) for step in range(9)] == pytest.approx(rise + fall)
    assert RISE_AND_FALL.lr_at(4) == 1.0 and RISE_AND_FALL.lr_at(8) == pytest.approx(0.1)
    assert [LATER.lr_at(step) for step in range(3)] == pytest.approx([10.0, 6.0, 2.0])


def test_one_step_after_the_rise_keeps_the_highest_learning_rate():
    assert PhaseConfig(steps=3, lr=2.0, warmup_steps=2).lr_at(2) == 2.0


def test_phases_follow_one_another():
    phases = (RISE_AND_FALL, LATER)
    assert total_steps(phases) == 12
    assert [locate(phases, step) for step in (0, 8, 9, 11, 12)] == [(0, 0), (0, 8), (1, 0), (1, 2), (1, 3)]
    schedule = PhasedSchedule(phases)
    assert schedule.lr(8) == pytest.approx(0.1) and schedule.lr(9) == 10.0 and schedule.lr(12) == 2.0
    assert schedule.state_dict() == {} and not schedule.epoch_end(0.0)


def test_optimisers():
    parameters = [torch.nn.Parameter(torch.zeros(2))]
    sgd = make_optimizer(LATER, parameters)
    assert isinstance(sgd, torch.optim.SGD)
    group = sgd.param_groups[0]
    assert (group["nesterov"], group["momentum"], group["weight_decay"]) == (True, 0.8, 0.5)
    adamw = make_optimizer(RISE_AND_FALL, parameters)
    assert isinstance(adamw, torch.optim.AdamW) and adamw.param_groups[0]["weight_decay"] == 2e-5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"phases": [{"steps": 4, "warmup_steps": 4}]}, "warmup_steps: from 0 to less than steps"),
        ({"phases": [{"steps": 4, "stesp": 4}]}, "unknown key 'phases\\[0\\].stesp'; did you mean 'steps'"),
        ({"phases": [{"optimizer": "adam"}]}, "'adam' is not one of 'adamw', 'sgd'"),
        ({"phases": [{"steps": 4}], "lr": 0.1}, "lr: not read beside phases"),
        ({"phases": [{"steps": 4}], "max_epochs": 3}, "max_epochs: not read beside phases"),
        ({"phases": [{"steps": 4}], "schedule": {"kind": "cosine"}}, "schedule: not read beside phases"),
        ({"epoch_steps": -1}, "epoch_steps: must not be negative"),
    ],
)
def test_bad_phases(values, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(LoopConfig, values, "here")


def test_a_longer_patience_goes_on_after_an_early_end():
    schedule = Schedule(ScheduleConfig(stop_after=2), 1.0, total_steps=100)
    assert [schedule.epoch_end(metric) for metric in (1.0, 2.0, 3.0)] == [False, False, True]
    longer = Schedule(ScheduleConfig(stop_after=5), 1.0, total_steps=100)
    longer.load_state_dict(schedule.state_dict())
    assert schedule.ended() and not longer.ended()
