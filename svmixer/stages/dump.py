"""Stage 2: jobs that dump a share of a data directory each, and what joins their lists."""

from __future__ import annotations

import signal
import sys

from svmixer.audio.dump import DumpConfig, dump_job
from svmixer.audio.merge import MergeConfig, merge_jobs
from svmixer.config import parse_args


def dump(argv: list[str] | None = None) -> None:
    """Dump one job's share of a data directory as 16 kHz mono audio in Kaldi archives."""
    # A dispatcher's TERM must unwind, so that the half-written archive is removed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    dump_job(parse_args(DumpConfig, argv, dump.__doc__))


def merge(argv: list[str] | None = None) -> None:
    """Join the lists of all jobs that dumped a data directory."""
    merge_jobs(parse_args(MergeConfig, argv, merge.__doc__))
