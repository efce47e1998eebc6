"""Stage 4: speaker training with distillation (OS-KDFT), or without a teacher."""

from __future__ import annotations

from svmixer.config import parse_args
from svmixer.training.config import TrainConfig


def main(argv: list[str] | None = None) -> None:
    """Train student and backend; the model directory ``model/`` is the result."""
    config = parse_args(TrainConfig, argv, __doc__)
    from svmixer.training.run import run_task
    from svmixer.training.tasks import SpeakerTask

    run_task(config, SpeakerTask)


if __name__ == "__main__":
    main()
