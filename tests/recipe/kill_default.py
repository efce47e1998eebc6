#!/usr/bin/env python3
"""Kill the default recipe at random moments, finish it, and compare its scores with an undisturbed run's.

    tests/recipe/kill_default.py FINISHED WORK

FINISHED is a directory in which ./run.sh has run to its end, WORK an empty one. The whole run is killed with
SIGKILL at ten random moments and started again each time; then it runs to its end. Prints where each kill
struck, and ends with status 1 if a score file differs in a byte.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def last_stage(log: Path) -> str:
    """The latest line of a run's log that names a stage."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if "stage " in line]
    return lines[-1].split("stage ", 1)[1] if lines else "set-up"


def kill_once(work: Path, log: Path, seconds: float) -> str | None:
    """Run, kill everything after ``seconds``; where that was, or None if the run had ended."""
    with open(log, "ab") as stream:
        process = subprocess.Popen(
            [PROJECT / "run.sh"], cwd=work, stdout=stream, stderr=stream, start_new_session=True
        )
        try:
            process.wait(timeout=seconds)
            return None
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return last_stage(log)


def differing(finished: Path, work: Path) -> list[str]:
    """Score files of the finished run that the other one has not, or not with the same bytes."""
    files = sorted(path.relative_to(finished) for path in (finished / "exp").rglob("scores"))
    if not files:
        sys.exit(f"{finished}/exp has no scores: run ./run.sh there first")
    return [
        str(path)
        for path in files
        if not (work / path).is_file() or (work / path).read_bytes() != (finished / path).read_bytes()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("finished", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--longest", type=float, default=200.0, help="longest time to a kill, seconds")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    moments, log = random.Random(options.seed), options.work / "run.log"
    kills = 0
    while kills < options.kills:
        seconds = moments.uniform(1.0, options.longest)
        place = kill_once(options.work, log, seconds)
        if place is None:
            sys.exit(f"the run ended after {kills} kills: take a smaller --longest")
        kills += 1
        print(f"kill {kills} after {seconds:.0f} s in stage {place}", flush=True)
    started = time.monotonic()
    with open(log, "ab") as stream:
        subprocess.run([PROJECT / "run.sh"], cwd=options.work, stdout=stream, stderr=stream, check=True)
    print(f"finished in another {time.monotonic() - started:.0f} s", flush=True)
    wrong = differing(options.finished, options.work)
    print("differing: " + ", ".join(wrong) if wrong else "all score files are byte-equal")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
