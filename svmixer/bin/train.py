"""Stage 4: speaker training with distillation (OS-KDFT), or without a teacher."""

from __future__ import annotations

from svmixer.config import parse_args
from svmixer.train.run import run_task
from svmixer.train.tasks import SpeakerTask, TrainConfig


def main(argv: list[str] | None = None) -> None:
    """Train student and backend; the model directory ``model/`` is the result."""
    run_task(parse_args(TrainConfig, argv, __doc__), SpeakerTask)


if __name__ == "__main__":
    main()
