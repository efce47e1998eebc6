"""What the end of a training means to those who started it: finished, stopped to be continued, or failed."""

from __future__ import annotations

import signal
from pathlib import Path

from svmixer.fileio import atomic_write

# Exit status of a training that a signal stopped: nothing is lost, run it again to continue (EX_TEMPFAIL).
INTERRUPTED = 75

# What schedulers send before they end a job: TERM; USR1 (Slurm's --signal, Grid Engine's s_rt) and USR2 (Grid
# Engine's -notify).
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)

# File in the training's directory after such an end; dispatchers do not hand on a command's exit status.
MARKER = ".interrupted"


def note_interruption(folder: str | Path, reason: str) -> None:
    """Leave the marker with one line that says what stopped the training."""
    with atomic_write(Path(folder) / MARKER) as stream:
        stream.write(reason + "\n")
