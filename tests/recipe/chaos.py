#!/usr/bin/env python3
"""Kill random processes of a run, finish it, and compare its scores with an undisturbed run's.

    tests/recipe/chaos.py --kills 30                  the toy recipe, in a directory of its own
    tests/recipe/chaos.py --finished DIR --work DIR   the default recipe; ./run.sh has ended in the first
    tests/recipe/chaos.py --finished DIR --work DIR --run "egs/mini_an4/sv1/run.sh"     another recipe

At random moments SIGKILL meets the driver, a dispatcher, a stage script, a training, a data worker, another
Python program of a stage, the guard of a dispatcher, or everything at once. A run that ends of it is started
again in the same directory; one that reaches its end before it is hit is compared, and the next begins anew.
At last a run is left alone. Status 1 if a score file differs in a byte, a process is left behind, or a run
fails that nothing has hit.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from toy_recipe import ROOT, command, write_recipe

MARK = "SVMIXER_CHAOS"


@dataclass(frozen=True)
class Found:
    """One process of a run."""

    pid: int
    parent: int
    words: tuple[str, ...]
    began: int  # clock ticks; tells a process from a later one of the same number

    @property
    def role(self) -> str:
        """Which part of a run it is."""
        text = " ".join(self.words)
        module = re.search(r"-m svmixer (\w+)", text)
        if self.words and os.path.basename(self.words[0]).startswith("python") and module:
            return {"train": "training", "distill": "training"}.get(module[1], "program")
        for pattern, role in (
            (r"/(run|slurm|queue)\.pl ", "dispatcher"),
            (r"task-guard", "guard"),
            (r"/stages/\d\d_\w+\.sh ", "stage script"),
            (r"/run\.sh ", "driver"),
        ):
            if re.search(pattern, text + " "):
                return role
        return "other"


def processes(mark: str, folder: Path) -> list[Found]:
    """The living processes with ``SVMIXER_CHAOS=mark`` in their environment, or at work in ``folder``.

    The guard of a dispatcher writes its name over its environment: it is found by its directory.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            here = Path(os.readlink(entry / "cwd")).is_relative_to(folder)
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # ended meanwhile, dead, or another user's
        if (f"{MARK}={mark}".encode() in environment or here) and fields[0] not in "ZX":
            found.append(Found(int(entry.name), int(fields[1]), tuple(words), int(fields[19])))
    return found


def by_role(found: list[Found]) -> dict[str, list[Found]]:
    """Processes by what they are. A copy that a process made of itself is a data worker or a subshell."""
    role_of = {process.pid: process.role for process in found}
    roles: dict[str, list[Found]] = {}
    for process in found:
        role = process.role
        if role_of.get(process.parent) == role:
            role = "data worker" if role == "training" else "other"
        roles.setdefault(role, []).append(process)
    return roles


@dataclass
class Chaos:
    """Runs ``command`` in folders under ``work`` and disturbs it."""

    command: list[str]
    finished: Path  # where an undisturbed run has ended
    work: Path
    moments: random.Random
    longest: float  # seconds between two kills, at most
    # Seconds until nothing of a dead run may be left: the small programs of a stage run to their end.
    patience: float = 180.0
    counts: Counter = field(default_factory=Counter)
    round: int = 0

    def __post_init__(self) -> None:
        self.mark = f"{os.getpid()}-{time.monotonic_ns()}"
        self.process: subprocess.Popen | None = None
        self.hit = False

    @property
    def folder(self) -> Path:
        return self.work / f"round {self.round}"

    def start(self) -> None:
        """Start the run, or start it again where it was."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.work / f"round {self.round}.log", "ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, MARK: self.mark}, start_new_session=True,
            )  # fmt: skip
        self.hit = False

    def strike(self) -> str:
        """Kill one process, or all; what it was."""
        roles = by_role(processes(self.mark, self.folder))
        roles.pop("other", None)
        role = self.moments.choice([*sorted(roles), "everything"])
        everything = [process for members in roles.values() for process in members]
        victims = [self.moments.choice(roles[role])] if role in roles else everything
        for victim in victims:
            try:
                os.kill(victim.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            self.hit = True
        self.counts[role] += 1
        return role

    def wait_for_all(self) -> None:
        """Wait until nothing of the ended run is left.

        Raises:
            SystemExit: something is; it is named, and killed.
        """
        deadline = time.monotonic() + self.patience
        while left := processes(self.mark, self.folder):
            if time.monotonic() > deadline:
                names = "; ".join(f"{process.pid} ({' '.join(process.words)[:150]})" for process in left)
                for process in left:
                    os.kill(process.pid, signal.SIGKILL)
                raise SystemExit(f"left behind {self.patience:.0f} s after the run's end: {names}")
            time.sleep(0.1)

    def ended(self) -> None:
        """Judge a run that has ended: it was hit, or it is complete and right, and another round begins."""
        status = self.process.wait()
        self.wait_for_all()
        if status == 0:
            self.compare()
            shutil.rmtree(self.folder)
            self.round += 1
        elif not self.hit:
            raise SystemExit(f"a run that nothing has hit ended with status {status}:\n{self.tail()}")

    def compare(self) -> None:
        """Every score file of the undisturbed run is here, byte by byte, and no half-written file is.

        Raises:
            SystemExit: the files that differ.
        """
        scores = sorted(path.relative_to(self.finished) for path in self.finished.glob("exp/*/*/*/scores"))
        if not scores:
            raise SystemExit(f"{self.finished}/exp has no scores: run ./run.sh there first")
        here = self.folder
        wrong = [str(path) for path in scores if not _same(here / path, self.finished / path)]
        wrong += [str(path) for path in here.rglob(".*.tmp") if path.is_file()]
        if wrong:
            raise SystemExit("differing or half-written: " + ", ".join(wrong))

    def tail(self) -> str:
        text = (self.work / f"round {self.round}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-30:])

    def play(self, kills: int) -> None:
        """Disturb ``kills`` times, then let it end."""
        self.start()
        done = 0
        while done < kills:
            try:
                self.process.wait(timeout=self.moments.uniform(0.2, self.longest))
            except subprocess.TimeoutExpired:
                role = self.strike()
                done += 1
                print(f"kill {done}: {role}, round {self.round}, {self.place()}", flush=True)
                # A run that loses a part ends, but for a guard, which is replaced.
                try:
                    self.process.wait(timeout=2.0 if role == "guard" else self.patience)
                except subprocess.TimeoutExpired:
                    if role != "guard":
                        raise SystemExit(f"running on after the kill of a {role}: {self.tail()}") from None
                    continue
            self.ended()
            self.start()
        status = self.process.wait()
        self.wait_for_all()
        if status:
            raise SystemExit(f"the last run ended with status {status}:\n{self.tail()}")
        self.compare()

    def place(self) -> str:
        lines = re.findall(r"stage \d+: .*", self.tail())
        return f"after '{lines[-1][:60]}'" if lines else "before the first stage"


def _same(one: Path, two: Path) -> bool:
    return one.is_file() and one.read_bytes() == two.read_bytes()


def toy(work: Path) -> tuple[list[str], Path]:
    """The toy recipe in ``work``, with one epoch a training, run undisturbed; its command, where it ran."""
    write_recipe(work / "recipe")
    few = ("--control", "false", "--lowpass", "")
    words = toy_command(work / "recipe", *few, training="--loop.max_epochs 1 --loop.save_every 1")
    undisturbed = work / "undisturbed"
    undisturbed.mkdir()
    done = subprocess.run(words, cwd=undisturbed, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    return words, undisturbed


def toy_command(recipe: Path, *more: str, training: str = "") -> list[str]:
    """The toy recipe with a data worker, which changes no result."""
    options = f"--loop.workers 1 {training}"
    return command(recipe, "--distill_args", options, "--train_args", options, *more)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--finished", type=Path, help="where the default recipe has run; else the toy recipe")
    parser.add_argument("--run", default="run.sh", help="command that ran there, its program in the project")
    parser.add_argument("--work", type=Path, help="where to work (default: a temporary directory)")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--longest", type=float, default=20.0, help="longest time to a kill, seconds")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    work = options.work or Path(tempfile.mkdtemp(prefix="chaos."))
    work.mkdir(parents=True, exist_ok=True)
    if options.finished:
        program, *more = shlex.split(options.run)
        words, finished = [str(ROOT / program), *more], options.finished
    else:
        words, finished = toy(work)
    started = time.monotonic()
    chaos = Chaos(words, finished.resolve(), work.resolve(), random.Random(options.seed), options.longest)
    chaos.play(options.kills)
    killed = ", ".join(f"{count} {role}" for role, count in chaos.counts.most_common())
    print(f"{options.kills} kills in {time.monotonic() - started:.0f} s: {killed}")
    print(f"{chaos.round + 1} complete runs, all score files byte-equal, no process left behind")
    if options.work is None:
        shutil.rmtree(work)


if __name__ == "__main__":
    sys.exit(main())
