"""The options of the training loop."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from svmixer.limits import at_least, not_negative, positive
from svmixer.training.phases import PhaseConfig
from svmixer.training.schedule import ScheduleConfig


@dataclass(frozen=True)
class LoopConfig:
    """How long, how fast and on what a training runs."""

    seed: int = 0  # seed of weights, order, crops, augmentation and dropout
    batch_size: int = 32  # utterances per process and backward pass
    accumulate: int = 1  # backward passes per optimiser step
    max_epochs: int = 20  # epochs at most; 0 trains nothing, the model is validated and written as it starts
    epoch_steps: int = 0  # optimiser steps from one validation to the next; 0 = one pass over the data
    lr: float = 2e-4  # AdamW's learning rate
    weight_decay: float = 2e-5  # AdamW's weight decay
    clip: float = 10.0  # largest gradient norm; 0 does not clip
    precision: str = "32-true"  # 32-true or bf16-mixed
    workers: int = 2  # data-loading processes per training process; 0 loads in the training process
    save_every: int = 100  # optimiser steps between checkpoints
    log_every: int = 20  # optimiser steps between progress lines
    keep_best: int = 3  # how many of the best epochs are kept, and averaged at the end
    allow_changes: bool = False  # true: continue a training with options that change its result, too
    # Learning-rate schedule and early stopping.
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    # Optimisers one after another, in place of max_epochs, lr, weight_decay and schedule.
    phases: tuple[PhaseConfig, ...] = ()

    def __post_init__(self) -> None:
        if self.precision not in ("32-true", "bf16-mixed"):
            raise ValueError(f"precision: '{self.precision}' is none of 32-true, bf16-mixed")
        at_least(self, 1, "batch_size", "accumulate", "save_every", "log_every", "keep_best")
        not_negative(self, "seed", "max_epochs", "epoch_steps", "weight_decay", "clip", "workers")
        positive(self, "lr")
        if self.phases:
            plain = {item.name: item.default for item in fields(self)} | {"schedule": ScheduleConfig()}
            for name in ("max_epochs", "lr", "weight_decay", "schedule"):
                if getattr(self, name) != plain[name]:
                    raise ValueError(f"{name}: not read beside phases, which have their own")
