"""How long a training will take on this machine, from a few steps of it."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from svmixer.distributed.device import make_fabric
from svmixer.training.config import TeacherCacheConfig, TrainConfig
from svmixer.training.loop import Loop
from svmixer.training.speaker import SpeakerTask
from svmixer.training.task import TeacherTask
from svmixer.training.whitening import Whitener

# Optimiser steps that are timed; crops of a short and of a longer whitening.
STEPS = 8
CROPS = (64, 320)


@dataclass(frozen=True)
class Expected:
    """Parts of a training and what they take, in seconds."""

    # Optimiser steps at most, and one of them.
    steps: int
    step_seconds: float
    # All else: start, validations, whitening.
    other_seconds: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.steps * self.step_seconds + self.other_seconds


def expected_time(config: TrainConfig, make_task: Callable[[TrainConfig], TeacherTask]) -> Expected:
    """Build the training, take some of its steps, validate once, and reckon from there.

    Nothing is kept. A training that stops early, or waits for a disk or for other programs later on, takes
    another time.

    Raises:
        SvmixerError: the training cannot be begun.
    """
    # Its states are computed at every step here, not once for all.
    config = replace(config, teacher_cache=TeacherCacheConfig())
    started = time.perf_counter()
    fabric = make_fabric(config.device, config.loop.precision)
    task = make_task(config)
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(fabric, config.loop, task, folder)
        other = time.perf_counter() - started
        step = loop.time_step(STEPS) if loop.limit else 0.0
        loop.module.eval()
        epochs = max(1, math.ceil(loop.limit / loop.steps))
        if isinstance(task, SpeakerTask):
            # Once more for the average of the best epochs.
            other += _whitening_seconds(task) * (epochs + bool(loop.limit))
        other += epochs * _seconds(lambda: _validate(loop, task))
    return Expected(loop.limit, step, other)


def _whitening_seconds(task: SpeakerTask) -> float:
    """Of one whitening: a part that every one has, and a part for each crop."""
    short, long = (_seconds(_whitener(task, crops).fit) for crops in CROPS)
    per_crop = max(0.0, long - short) / (CROPS[1] - CROPS[0])
    # What remains is fitted, so that the validation has nothing to fit.
    task.whitener = _whitener(task, CROPS[0])
    task.whitener.fit()
    if task.model.whitening is None and task.model.statistics is None:
        return 0.0
    return short + per_crop * (task.config.whiten.crops - CROPS[0])


def _whitener(task: SpeakerTask, crops: int) -> Whitener:
    config = task.config
    return Whitener(
        task.model, task.train_set, replace(config.whiten, crops=crops), config.loop.seed,
        config.loop.batch_size, config.loop.workers,
    )  # fmt: skip


def _validate(loop: Loop, task: TeacherTask) -> None:
    with torch.no_grad():
        task.validate(loop.fabric, loop.module)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
