"""Stages 3 and 4, and the pretraining of small teachers."""

from __future__ import annotations

from svmixer.config import parse_args
from svmixer.training.config import PretrainConfig, TrainConfig


def distill(argv: list[str] | None = None) -> None:
    """Stage 3: distil a frozen teacher into a student; ``student.safetensors`` is the result."""
    config = parse_args(TrainConfig, argv, distill.__doc__)
    from svmixer.training.distill import DistillTask
    from svmixer.training.run import run_task

    run_task(config, DistillTask)


def train(argv: list[str] | None = None) -> None:
    """Stage 4: speaker training with or without distillation (OS-KDFT); ``model/`` is the result."""
    config = parse_args(TrainConfig, argv, train.__doc__)
    from svmixer.training.run import run_task
    from svmixer.training.speaker import SpeakerTask

    run_task(config, SpeakerTask)


def pretrain(argv: list[str] | None = None) -> None:
    """Pretrain a small self-supervised teacher by masked prediction; ``teacher/`` is the result."""
    config = parse_args(PretrainConfig, argv, pretrain.__doc__)
    from svmixer.training.pretrain import PretrainTask
    from svmixer.training.run import run_task

    run_task(config, PretrainTask)
