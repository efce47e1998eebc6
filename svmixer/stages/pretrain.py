"""Pretrain a small self-supervised teacher by masked prediction."""

from __future__ import annotations

from svmixer.config import parse_args
from svmixer.training.config import PretrainConfig


def main(argv: list[str] | None = None) -> None:
    """Train the teacher; the teacher directory ``teacher/`` is the result."""
    config = parse_args(PretrainConfig, argv, __doc__)
    from svmixer.training.pretrain import PretrainTask
    from svmixer.training.run import run_task

    run_task(config, PretrainTask)


if __name__ == "__main__":
    main()
