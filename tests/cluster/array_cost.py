#!/usr/bin/env python3
"""What an array of 40 tasks of `true` takes through the dispatcher, beside the scheduler's own time for it.

    tests/cluster/array_cost.py slurm|sge [PAIRS]

Starts the scheduler (see slurm.sh, sge.sh), measures both in turn and prints every pair and the ratio of the
medians. Status 1: the ratio is above 1.3.

The first pairs are printed but not counted. On this Slurm the backfill and the main scheduler each look once
a second, at first at nearly the same moment, later further and further apart. A task that ends between the
two looks lets the next one start at once, any other waits for the next second: an array takes 5 s or 10 s.
While the two looks are about as far apart as a task lasts, a few milliseconds of a task decide which, and
the pair tells the distance of the two clocks.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from clusters import ROOT, Cluster, GridEngine, Slurm

TASKS, AT_ONCE = 40, 4
WARM_UP = 12
# What the dispatcher's median may be of the scheduler's own.
BOUND = 1.3


def through_dispatcher(cluster: Cluster, directory: Path) -> float:
    """Seconds of one call that writes its logs to ``directory``."""
    words = [ROOT / "tools" / cluster.dispatcher, "--max-jobs-run", AT_ONCE, f"JOB=1:{TASKS}"]
    words += [directory / "a.JOB.log", "true"]
    began = time.monotonic()
    subprocess.run([*map(str, words)], env=cluster.env(), check=True)
    return time.monotonic() - began


def main() -> None:
    kind = {"slurm": Slurm, "sge": GridEngine}[sys.argv[1]]
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    cluster = kind()
    own, ours = [], []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for number in range(WARM_UP + pairs):
                own.append(cluster.submit_true(TASKS, AT_ONCE, Path(folder)))
                ours.append(through_dispatcher(cluster, Path(folder) / str(number)))
                note = " (not counted)" if number < WARM_UP else ""
                times = f"{cluster.name} {own[-1]:.2f} s, {cluster.dispatcher} {ours[-1]:.2f} s"
                print(times + note, flush=True)
    finally:
        cluster.stop()
    medians = [statistics.median(times[WARM_UP:]) for times in (own, ours)]
    ratio = medians[1] / medians[0]
    print(f"medians of {pairs}: {medians[0]:.2f} s, {medians[1]:.2f} s, ratio {ratio:.2f}")
    if ratio > BOUND:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
