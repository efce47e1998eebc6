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


def note_interruption(folder: str | Path, reason: str, steps: int = 0) -> None:
    """Leave the marker: a line that says what stopped the training, and a line with the number of optimiser
    steps that are saved; 0 if it was stopped before it came to any.
    """
    with atomic_write(Path(folder) / MARKER) as stream:
        stream.write(f"{reason}\n{steps}\n")
