"""Dump one job's share of a data directory as 16 kHz mono audio in Kaldi archives."""

from __future__ import annotations

import signal
import sys

from svmixer.audio.dump import DumpConfig, dump_job
from svmixer.config import parse_args
from svmixer.lists import ListError
from svmixer.log import fail


def main(argv: list[str] | None = None) -> None:
    """Run the script; a user's mistake is one line on standard error and exit status 1."""
    # A dispatcher's TERM must unwind, so that the half-written archive is removed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    config = parse_args(DumpConfig, argv, __doc__)
    try:
        dump_job(config)
    except (ListError, OSError) as error:
        raise fail(str(error)) from None


if __name__ == "__main__":
    main()
