"""Stages 1 and 2: the check of lists, and jobs that dump a share of a data directory each."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass

from svmixer.audio.dump import DumpConfig, dump_job
from svmixer.audio.merge import MergeConfig, merge_jobs
from svmixer.config import parse_args
from svmixer.lists.fix import clean_lines


@dataclass(frozen=True)
class CheckTextConfig:
    """Options of the script."""

    # List to look at; what its lines say does not matter.
    input: str


def check_text(argv: list[str] | None = None) -> None:
    """Refuse a list that is no UTF-8 text (UTF-16, compressed, …), with the command that makes it so."""
    config = parse_args(CheckTextConfig, argv, check_text.__doc__)
    for _ in clean_lines(config.input):
        pass


def dump(argv: list[str] | None = None) -> None:
    """Dump one job's share of a data directory as 16 kHz mono audio in Kaldi archives."""
    # A dispatcher's TERM must unwind, so that the half-written archive is removed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    dump_job(parse_args(DumpConfig, argv, dump.__doc__))


def merge(argv: list[str] | None = None) -> None:
    """Join the lists of all jobs that dumped a data directory."""
    merge_jobs(parse_args(MergeConfig, argv, merge.__doc__))
