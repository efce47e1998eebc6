"""Stage 3: distil a frozen teacher into a student."""

from __future__ import annotations

from svmixer.config import parse_args
from svmixer.train.run import run_task
from svmixer.train.tasks import DistillTask, TrainConfig


def main(argv: list[str] | None = None) -> None:
    """Train the student to predict the teacher's states; ``student.safetensors`` is the result."""
    run_task(parse_args(TrainConfig, argv, __doc__), DistillTask)


if __name__ == "__main__":
    main()
