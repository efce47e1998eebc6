"""Stage 3: distil a frozen teacher into a student."""

from __future__ import annotations

from svmixer.config import parse_args
from svmixer.training.config import TrainConfig


def main(argv: list[str] | None = None) -> None:
    """Train the student to predict the teacher's states; ``student.safetensors`` is the result."""
    config = parse_args(TrainConfig, argv, __doc__)
    from svmixer.training.run import run_task
    from svmixer.training.tasks import DistillTask

    run_task(config, DistillTask)


if __name__ == "__main__":
    main()
