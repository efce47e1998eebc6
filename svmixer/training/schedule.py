"""Learning-rate schedules, and optimisers one after another; torch is loaded when the first is built.

Two schedules have one interface: :class:`Schedule`, one optimiser whose learning rate falls with the epochs,
and :class:`PhasedSchedule`, optimisers one after another, each with its own learning-rate curve, as the
released models were trained.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from svmixer.limits import below_one, between, not_negative, positive

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class ScheduleConfig:
    """Learning-rate schedule and early stopping (paper: halve after 5 epochs without gain, stop after 10)."""

    kind: str = "plateau"  # plateau (cut after epochs without gain) or cosine (to zero at the end)
    warmup_steps: int = 0  # optimiser steps of linear rise from zero
    factor: float = 0.5  # plateau: what the learning rate is multiplied by
    patience: int = 5  # plateau: epochs without gain before that
    stop_after: int = 10  # epochs without gain before training stops; 0 never stops early
    floor: float = 0.0  # cosine: the last step's learning rate as a fraction of the first one

    def __post_init__(self) -> None:
        if self.kind not in ("plateau", "cosine"):
            raise ValueError(f"kind: '{self.kind}' is not one of plateau, cosine")
        not_negative(self, "warmup_steps", "patience", "stop_after")
        positive(self, "factor")
        between(self, 0.0, 1.0, "factor", "floor")


class Schedule:
    """Learning rate of each optimiser step, and whether to stop after an epoch; its state can be saved."""

    def __init__(self, config: ScheduleConfig, base_lr: float, total_steps: int) -> None:
        self.config, self.base_lr, self.total_steps = config, base_lr, total_steps
        self.best, self.bad_epochs, self.since_cut, self.cuts = math.inf, 0, 0, 0

    def lr(self, step: int) -> float:
        """Learning rate of optimiser step ``step`` (counted from 0)."""
        warm = min(1.0, (step + 1) / self.config.warmup_steps) if self.config.warmup_steps else 1.0
        if self.config.kind == "plateau":
            return self.base_lr * warm * self.config.factor**self.cuts
        rest = max(1, self.total_steps - self.config.warmup_steps)
        progress = min(1.0, max(0, step - self.config.warmup_steps) / rest)
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
        return self.base_lr * warm * (self.config.floor + (1 - self.config.floor) * cosine)

    def epoch_end(self, metric: float) -> bool:
        """Take in the epoch's validation metric (lower is better); True when training should stop early."""
        if metric < self.best:
            self.best, self.bad_epochs, self.since_cut = metric, 0, 0
            return False
        self.bad_epochs += 1
        self.since_cut += 1
        if self.config.kind == "plateau" and self.since_cut >= self.config.patience:
            self.cuts, self.since_cut = self.cuts + 1, 0
        return self.ended()

    def ended(self) -> bool:
        """Whether there were too many epochs without gain to go on."""
        return bool(self.config.stop_after) and self.bad_epochs >= self.config.stop_after

    def state_dict(self) -> dict[str, float | int]:
        """What a checkpoint must hold."""
        return {
            "best": self.best,
            "bad_epochs": self.bad_epochs,
            "since_cut": self.since_cut,
            "cuts": self.cuts,
        }

    def load_state_dict(self, state: dict[str, float | int]) -> None:
        """Continue from :meth:`state_dict`."""
        self.best, self.bad_epochs = float(state["best"]), int(state["bad_epochs"])
        self.since_cut, self.cuts = int(state["since_cut"]), int(state["cuts"])


@dataclass(frozen=True)
class PhaseConfig:
    """One stretch of training with one optimiser.

    The learning rate rises linearly from ``start_lr`` to ``lr``, then falls along half a cosine to
    ``final_lr``.
    """

    # adamw, or sgd with Nesterov momentum.
    optimizer: Literal["adamw", "sgd"] = "adamw"
    # Optimiser steps, the rise included.
    steps: int = 1
    # Learning rate at the end of the rise.
    lr: float = 1e-3
    # Learning rate of the first step of the rise.
    start_lr: float = 0.0
    # Optimiser steps of the rise.
    warmup_steps: int = 0
    # Learning rate that the last step comes down to.
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

    def lr_at(self, step: int) -> float:
        """Learning rate of step ``step`` of this phase, from 0."""
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


def make_optimizer(
    phase: PhaseConfig, parameters: list[nn.Parameter] | list[dict[str, Any]]
) -> torch.optim.Optimizer:
    """A fresh optimiser of a phase for parameters, or for groups of them."""
    import torch

    if phase.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, lr=phase.lr, momentum=phase.momentum, weight_decay=phase.weight_decay, nesterov=True
        )
    return torch.optim.AdamW(parameters, lr=phase.lr, weight_decay=phase.weight_decay, fused=True)


class PhasedSchedule:
    """Learning rates of several phases: a function of the number of steps taken.

    A run that continues from step n builds the optimiser of step n and loads that optimiser's state.
    """

    def __init__(self, phases: tuple[PhaseConfig, ...]) -> None:
        self.phases = phases

    def lr(self, step: int) -> float:
        """Learning rate of optimiser step ``step`` (counted from 0 over all phases)."""
        index, within = locate(self.phases, step)
        return self.phases[index].lr_at(within)

    def epoch_end(self, metric: float) -> bool:
        """Phases have their lengths: validation never stops them."""
        return False

    def ended(self) -> bool:
        """See :meth:`epoch_end`."""
        return False

    def state_dict(self) -> dict[str, float | int]:
        """Nothing: the learning rate depends on the step alone."""
        return {}

    def load_state_dict(self, state: dict[str, float | int]) -> None:
        """See :meth:`state_dict`."""
