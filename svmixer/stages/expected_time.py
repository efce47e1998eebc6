"""Before stage 3: how long the trainings will take on this machine."""

from __future__ import annotations

import logging
import shlex
import time
from dataclasses import dataclass

from svmixer.config import parse_args
from svmixer.errors import UsageError
from svmixer.log import get_logger
from svmixer.training.config import TrainConfig


@dataclass(frozen=True)
class ExpectedTimeConfig:
    """Options of the script."""

    # Options of stage 3 in one string, quoted as for a shell; empty: there is no stage 3.
    distill: str = ""
    # Options of stage 4, likewise.
    train: str = ""


def main(argv: list[str] | None = None) -> None:
    """Take a few steps of each training and print how long both will take, as an estimate."""
    config = parse_args(ExpectedTimeConfig, argv, main.__doc__)
    stages = {"distillation": config.distill, "speaker training": config.train}
    trainings = {name: parse_args(TrainConfig, shlex.split(text)) for name, text in stages.items() if text}
    if not trainings:
        raise UsageError("no training is named: --distill OPTIONS, --train OPTIONS")
    if any(training.device.world > 1 for training in trainings.values()):
        print("no expected time: it is estimated for trainings of one process")
        return
    from svmixer.training.distill import DistillTask
    from svmixer.training.expected import expected_time
    from svmixer.training.speaker import SpeakerTask

    # Lines of the steps that are tried would look like those of the training.
    get_logger(__name__)
    logging.getLogger("svmixer").setLevel(logging.WARNING)
    started = time.monotonic()
    tasks = {"distillation": DistillTask, "speaker training": SpeakerTask}
    found = {name: expected_time(training, tasks[name]) for name, training in trainings.items()}
    parts = []
    for name, expected in found.items():
        steps = f", {expected.steps} steps of {expected.step_seconds:.2f} s" if expected.steps else ""
        parts.append(f"{name} {duration(expected.seconds)}{steps}")
    total = duration(sum(expected.seconds for expected in found.values()))
    print(f"expected time of the training: {total} ({'; '.join(parts)})")
    print(
        f"  an estimate, from a few steps tried here in {time.monotonic() - started:.0f} s; other work on "
        "the machine makes it longer"
    )


def duration(seconds: float) -> str:
    """A time in words, no more exact than an estimate is: ``40 seconds``, ``6 minutes``, ``3.5 hours``."""
    if seconds < 90:
        return f"{max(5, 5 * round(seconds / 5))} seconds"
    if seconds < 5400:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"
