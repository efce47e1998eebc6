"""Split a list into one part a job, for JOB=1:n."""

from __future__ import annotations

from dataclasses import dataclass

from svmixer.config import parse_args
from svmixer.limits import at_least
from svmixer.lists import split_list


@dataclass(frozen=True)
class SplitListConfig:
    """Options of the script."""

    # List to split, e.g. data/train/wav.scp.
    input: str
    # Number of parts.
    jobs: int
    # Where part n goes; JOB in the file's name stands for n, e.g. dump/train/logs/wav.JOB.scp.
    output: str

    def __post_init__(self) -> None:
        at_least(self, 1, "jobs")


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    config = parse_args(SplitListConfig, argv, __doc__)
    split_list(config.input, config.jobs, config.output)
