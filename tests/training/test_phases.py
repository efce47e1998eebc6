"""Phases of optimisers: rates by hand, the optimiser of each step, refusal of keys that they replace."""

import math

import pytest
import torch

from svmixer.config import ConfigError, from_dict
from svmixer.training.loop_config import LoopConfig
from svmixer.training.phases import PhaseConfig, PhasedSchedule, locate, make_optimizer, total_steps

RISE_AND_FALL = PhaseConfig("adamw", steps=9, lr=1.0, start_lr=0.2, warmup_steps=4, final_lr=0.1)
LATER = PhaseConfig("sgd", steps=3, lr=10.0, final_lr=2.0, momentum=0.8, weight_decay=0.5)


def test_rates_by_hand():
    rise = [0.2, 0.4, 0.6, 0.8]
    fall = [0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * k / 4)) for k in range(5)]
    assert [RISE_AND_FALL.rate(step) for step in range(9)] == pytest.approx(rise + fall)
    assert RISE_AND_FALL.rate(4) == 1.0 and RISE_AND_FALL.rate(8) == pytest.approx(0.1)
    assert [LATER.rate(step) for step in range(3)] == pytest.approx([10.0, 6.0, 2.0])


def test_one_step_after_the_rise_keeps_the_top_rate():
    assert PhaseConfig(steps=3, lr=2.0, warmup_steps=2).rate(2) == 2.0


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
        ({"phases": [{"optimizer": "adam"}]}, "'adam' is none of 'adamw', 'sgd'"),
        ({"phases": [{"steps": 4}], "lr": 0.1}, "lr: not read beside phases"),
        ({"phases": [{"steps": 4}], "max_epochs": 3}, "max_epochs: not read beside phases"),
        ({"phases": [{"steps": 4}], "schedule": {"kind": "cosine"}}, "schedule: not read beside phases"),
        ({"epoch_steps": -1}, "epoch_steps: must not be negative"),
    ],
)
def test_bad_configurations(values, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(LoopConfig, values, "here")
