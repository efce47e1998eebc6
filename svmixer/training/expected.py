"""How long a training will take on this machine, from a few steps of it."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch.utils.data import DataLoader

from svmixer.distributed.device import make_fabric
from svmixer.models.speaker_model import SpeakerModel, evaluating
from svmixer.training.config import TeacherCacheConfig, TrainConfig
from svmixer.training.data import ignore_signals
from svmixer.training.loop import Loop
from svmixer.training.speaker import SpeakerTask
from svmixer.training.task import TeacherTask

# Optimiser steps that are timed, and batches that only go through the model.
STEPS = 8
BATCHES = 6


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
    """Build the training, take some of its steps, embed some crops, and reckon from there.

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
        step = loop.time_step(min(STEPS, loop.limit)) if loop.limit else 0.0
    epochs = max(1, math.ceil(loop.limit / loop.steps))
    if isinstance(task, SpeakerTask):
        # The best epochs are averaged, and whitened once more.
        whitenings = (epochs + bool(loop.limit)) * _whitens(task.model)
        crops = epochs * _validated(task) + whitenings * config.whiten.crops
        batches = min(BATCHES, math.ceil(crops / config.loop.batch_size))
        other += crops * _crop_seconds(task, batches)
    else:
        other += epochs * _seconds_of_validation(loop, task)
    return Expected(loop.limit, step, other)


def _whitens(model: SpeakerModel) -> bool:
    return any(part is not None for part in (model.whitening, model.statistics, model.adaptation))


def _validated(task: SpeakerTask) -> int:
    """Crops of the validation's utterances; of whole ones as many as are scored by default."""
    return len(task.trials.utterances) * task.config.valid.num_crops


def _crop_seconds(task: SpeakerTask, batches: int) -> float:
    """What a training crop takes until it is an embedding, by so many batches."""
    size, workers = task.config.loop.batch_size, task.config.loop.workers
    # Data workers have prepared these in advance.
    ahead = min(batches, 2 * workers + 1)
    items = len(task.dataset())
    plan = [
        [(number, (number * size + place) % items) for place in range(size)]
        for number in range(1, ahead + batches + 1)
    ]
    loader = iter(
        DataLoader(task.dataset(), batch_sampler=plan, num_workers=workers, worker_init_fn=ignore_signals)
    )
    with evaluating(task.model):
        for _ in range(ahead):
            next(loader)
        started, crops = time.perf_counter(), 0
        for batch in loader:
            task.model(batch["noisy"].to(task.model.device).view(-1, task.model.window))
            crops += size
    return (time.perf_counter() - started) / crops


def _seconds_of_validation(loop: Loop, task: TeacherTask) -> float:
    started = time.perf_counter()
    loop.module.eval()
    with torch.no_grad():
        task.validate(loop.fabric, loop.module)
    return time.perf_counter() - started
