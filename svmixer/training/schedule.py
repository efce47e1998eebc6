"""Learning rate and stopping: a small state machine whose whole state is a handful of numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from svmixer.limits import between, not_negative, positive


@dataclass(frozen=True)
class ScheduleConfig:
    """Learning-rate schedule and early stopping (paper: halve after 5 epochs without gain, stop after 10)."""

    kind: str = "plateau"  # plateau (cut after epochs without gain) or cosine (to zero at the end)
    warmup_steps: int = 0  # optimiser steps of linear rise from zero
    factor: float = 0.5  # plateau: what the rate is multiplied by
    patience: int = 5  # plateau: epochs without gain before that
    stop_after: int = 10  # epochs without gain before training stops; 0 never stops early
    floor: float = 0.0  # cosine: the last step's rate as a fraction of the base rate

    def __post_init__(self) -> None:
        if self.kind not in ("plateau", "cosine"):
            raise ValueError(f"kind: '{self.kind}' is none of plateau, cosine")
        not_negative(self, "warmup_steps", "patience", "stop_after")
        positive(self, "factor")
        between(self, 0.0, 1.0, "factor", "floor")


class Schedule:
    """Rate for each optimiser step and the verdict after each epoch; ``state_dict`` makes it resumable."""

    def __init__(self, config: ScheduleConfig, base_lr: float, total_steps: int) -> None:
        self.config, self.base_lr, self.total_steps = config, base_lr, total_steps
        self.best, self.bad_epochs, self.since_cut, self.cuts = math.inf, 0, 0, 0

    def lr(self, step: int) -> float:
        """Rate of optimiser step ``step`` (counted from 0)."""
        warm = min(1.0, (step + 1) / self.config.warmup_steps) if self.config.warmup_steps else 1.0
        if self.config.kind == "plateau":
            return self.base_lr * warm * self.config.factor**self.cuts
        rest = max(1, self.total_steps - self.config.warmup_steps)
        progress = min(1.0, max(0, step - self.config.warmup_steps) / rest)
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
        return self.base_lr * warm * (self.config.floor + (1 - self.config.floor) * cosine)

    def epoch_end(self, metric: float) -> bool:
        """Take in the epoch's validation figure (lower is better); True when training should stop early."""
        if metric < self.best:
            self.best, self.bad_epochs, self.since_cut = metric, 0, 0
            return False
        self.bad_epochs += 1
        self.since_cut += 1
        if self.config.kind == "plateau" and self.since_cut >= self.config.patience:
            self.cuts, self.since_cut = self.cuts + 1, 0
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
