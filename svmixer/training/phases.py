"""Optimisers one after another, each with its own rate curve, as the released models were trained.

A phase rises linearly from ``start_lr`` to ``lr`` and falls along half a cosine to ``final_lr``. The phase is
a function of the number of steps taken: a run that continues from step n builds the optimiser of step n and
loads that optimiser's state.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from svmixer.limits import below_one, not_negative, positive

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class PhaseConfig:
    """One stretch of training with one optimiser."""

    # adamw, or sgd with Nesterov momentum.
    optimizer: Literal["adamw", "sgd"] = "adamw"
    # Optimiser steps, the rise included.
    steps: int = 1
    # Rate at the end of the rise.
    lr: float = 1e-3
    # Rate of the first step of the rise.
    start_lr: float = 0.0
    # Optimiser steps of the rise.
    warmup_steps: int = 0
    # Rate that the last step comes down to.
    final_lr: float = 0.0
    # Weight decay.
    weight_decay: float = 2e-5
    # Momentum of sgd.
    momentum: float = 0.9

    def __post_init__(self) -> None:
        not_negative(self, "start_lr", "final_lr", "weight_decay")
        positive(self, "lr")
        below_one(self, "momentum")
        if self.optimizer == "sgd" and not self.momentum:
            raise ValueError("momentum: Nesterov's (optimizer sgd) must be more than 0, found 0")
        if not 0 <= self.warmup_steps < self.steps:
            raise ValueError(
                f"warmup_steps: from 0 to less than steps ({self.steps}), found {self.warmup_steps}"
            )

    def rate(self, step: int) -> float:
        """Rate of step ``step`` of this phase, from 0."""
        if step < self.warmup_steps:
            return self.start_lr + (self.lr - self.start_lr) * step / self.warmup_steps
        progress = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps - 1)
        return self.final_lr + (self.lr - self.final_lr) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def total_steps(phases: Iterable[PhaseConfig]) -> int:
    """Optimiser steps of all phases."""
    return sum(phase.steps for phase in phases)


def locate(phases: tuple[PhaseConfig, ...], step: int) -> tuple[int, int]:
    """(index of the phase that step ``step`` belongs to, step within it); past the end: the last phase's."""
    for index, phase in enumerate(phases):
        if step < phase.steps or index == len(phases) - 1:
            return index, step
        step -= phase.steps
    raise ValueError("no phases")


def make_optimizer(phase: PhaseConfig, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """A fresh optimiser of a phase."""
    import torch

    if phase.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, lr=phase.lr, momentum=phase.momentum, weight_decay=phase.weight_decay, nesterov=True
        )
    return torch.optim.AdamW(parameters, lr=phase.lr, weight_decay=phase.weight_decay, fused=True)


class PhasedSchedule:
    """Rates of several phases, behind the interface of :class:`svmixer.training.schedule.Schedule`."""

    def __init__(self, phases: tuple[PhaseConfig, ...]) -> None:
        self.phases = phases

    def lr(self, step: int) -> float:
        """Rate of optimiser step ``step`` (counted from 0 over all phases)."""
        index, within = locate(self.phases, step)
        return self.phases[index].rate(within)

    def epoch_end(self, metric: float) -> bool:
        """Phases have their lengths: validation never stops them."""
        return False

    def state_dict(self) -> dict[str, float | int]:
        """Nothing: the rate depends on the step alone."""
        return {}

    def load_state_dict(self, state: dict[str, float | int]) -> None:
        """See :meth:`state_dict`."""
