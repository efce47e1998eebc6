"""Real schedulers on this machine, started by slurm.sh and sge.sh, and what the tests do to them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CANNOT_RUN = 77

Value = TypeVar("Value")


class CannotRun(Exception):
    """This machine cannot run the scheduler; the text says why."""


def wait_for(get: Callable[[], Value], seconds: float = 30.0, what: str = "") -> Value:
    """Poll until ``get`` returns something true, and return that.

    Raises:
        AssertionError: it did not within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not (value := get()):
        assert time.monotonic() < deadline, f"{what or get} did not come true within {seconds} s"
        time.sleep(0.03)
    return value


@dataclass(frozen=True)
class Task:
    """What the scheduler says of one task of an array."""

    number: int
    # The scheduler's word for its state.
    state: str
    # Host it runs on, empty if none.
    node: str = ""


class Cluster(ABC):
    """A scheduler in a directory of its own; ends with this process, however this process ends."""

    # slurm or sge.
    name: str
    script: str
    dispatcher: str
    # Daemons in the order in which they are started, as "name" or "name of the pid file".
    daemons: tuple[str, ...]

    def __init__(self, *options: str):
        self.directory = Path(tempfile.mkdtemp(prefix=f"svmixer_{self.script.removesuffix('.sh')}."))
        self.options = options
        # The other end of this pipe closes when we stop it or die; whoever reads it then stops the cluster.
        self.keeper = subprocess.Popen(
            [
                "bash",
                "-c",
                'read -r _ || exec "$0" --purge true stop "$1"',
                HERE / self.script,
                self.directory,
            ],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def start(self) -> None:
        """Start what does not run.

        Raises:
            CannotRun: not on this machine.
            RuntimeError: it should have started but did not; with the daemons' words.
        """
        done = subprocess.run(
            [HERE / self.script, *self.options, "start", self.directory],
            capture_output=True,
            text=True,
            timeout=600,
        )
        if done.returncode == CANNOT_RUN:
            raise CannotRun(done.stderr.strip())
        if done.returncode:
            raise RuntimeError(f"{self.script} start failed:\n{done.stderr}")
        self.environment = dict(line.split("=", 1) for line in done.stdout.splitlines())

    def stop(self) -> None:
        """End all jobs and daemons and remove the directory."""
        assert self.keeper.stdin
        self.keeper.stdin.close()
        self.keeper.wait(timeout=120)

    def env(self, **changes: str) -> dict[str, str]:
        """The environment of a client."""
        path = f"{ROOT / 'tools'}:{os.environ['PATH']}:/usr/sbin"
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SLURM_", "SGE_", "DISPATCH_")) and name != "cmd_backend"
        }
        return {**kept, "PATH": path, **self.environment, **changes}

    def call(self, *words: object, check: bool = True) -> str:
        """Standard output of one of the scheduler's own commands; empty if it failed and ``check`` is off."""
        done = subprocess.run(
            [str(word) for word in words], env=self.env(), capture_output=True, text=True, timeout=60
        )
        if check and done.returncode:
            raise RuntimeError(f"{words} failed: {done.stdout}{done.stderr}")
        return "" if done.returncode else done.stdout

    def pid(self, daemon: str) -> int:
        return int((self.directory / f"{daemon}.pid").read_text())

    def alive(self, daemon: str) -> bool:
        return (self.directory / f"{daemon}.pid").exists() and is_running(self.pid(daemon))

    def kill(self, *daemons: str) -> None:
        """SIGKILL to daemons, as a machine that loses power would do it."""
        for daemon in daemons or self.daemons:
            pid = self.pid(daemon)
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            assert daemon.startswith(name), f"process {pid} is {name}, not {daemon}"
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda pid=pid: not is_running(pid), what=f"the end of {daemon}")

    # What the schedulers differ in.

    @abstractmethod
    def names(self) -> dict[str, str]:
        """Names of the jobs that wait or run, by number."""

    def jobs(self) -> list[str]:
        """Numbers of the jobs that wait or run."""
        return sorted(self.names(), key=int)

    @abstractmethod
    def tasks(self, job: str) -> dict[int, Task]:
        """The tasks of a job that the scheduler still knows, by number (0: no array)."""

    @abstractmethod
    def running(self, job: str) -> set[int]:
        """Numbers of its tasks that run."""

    @abstractmethod
    def has_ended(self, job: str, task: int) -> bool:
        """Does the scheduler, when asked, say that a task that it had is over?"""

    @abstractmethod
    def finished_names(self) -> list[str]:
        """Names of all jobs so far that have ended and that the scheduler remembers, one a task."""

    @abstractmethod
    def cancel(self, job: str, task: int | None = None) -> None:
        """Cancel a job, or one task of it, with the scheduler's own command."""

    @abstractmethod
    def submit_true(self, tasks: int, at_once: int, directory: Path) -> float:
        """Seconds from submitting an array of ``true`` until the scheduler has no unfinished task of it."""


class Slurm(Cluster):
    name = "slurm"
    script = "slurm.sh"
    dispatcher = "slurm.pl"
    daemons = ("munged", "slurmctld", "slurmd-n1", "slurmd-n2")

    def ready(self) -> bool:
        """Can both nodes take jobs?"""
        states = self.call("sinfo", "-h", "-N", "-o", "%T").split()
        return len(states) == 2 and set(states) <= {"idle", "mixed", "allocated"}

    def names(self) -> dict[str, str]:
        return dict(line.split(maxsplit=1) for line in self.call("squeue", "-h", "-o", "%F %j").splitlines())

    def tasks(self, job: str) -> dict[int, Task]:
        found = {}
        for line in self.call("scontrol", "show", "job", "-o", job, check=False).splitlines():
            fields = dict(re.findall(r"(\w+)=(\S*)", line))
            if not fields.get("ArrayTaskId", "0").isdigit():
                continue  # the tasks that wait together
            number = int(fields.get("ArrayTaskId", 0))
            found[number] = Task(number, fields["JobState"], fields.get("BatchHost", ""))
        return found

    def running(self, job: str) -> set[int]:
        return {task.number for task in self.tasks(job).values() if task.state == "RUNNING"}

    def has_ended(self, job: str, task: int) -> bool:
        active = {"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "REQUEUED"}
        found = self.tasks(job).get(task)
        return found is not None and found.state not in active

    def finished_names(self) -> list[str]:
        accounts = self.directory / "jobcomp.txt"
        text = accounts.read_text() if accounts.exists() else ""
        return re.findall(r"\bName=(\S+)", text)

    def cancel(self, job: str, task: int | None = None) -> None:
        self.call("scancel", job if task is None else f"{job}_{task}")

    def submit_true(self, tasks: int, at_once: int, directory: Path) -> float:
        began = time.monotonic()
        job = self.call(
            *["sbatch", "--parsable", f"--array=1-{tasks}%{at_once}", f"--output={directory}/own.%a.log"],
            *["--wrap", "true"],
        ).strip()
        wait_for(lambda: not self.call("squeue", "-h", "-j", job), 120)
        return time.monotonic() - began


class GridEngine(Cluster):
    name = "sge"
    script = "sge.sh"
    dispatcher = "queue.pl"
    daemons = ("sge_qmaster", "sge_execd")

    def _rows(self) -> list[list[str]]:
        """Lines of qstat that describe jobs, split; the last field is the task where there is one."""
        return [line.split() for line in self.call("qstat", "-u", "*", "-g", "d").splitlines()[2:]]

    def names(self) -> dict[str, str]:
        fields = r"<JB_job_number>(\d+)</JB_job_number>.*?<JB_name>(.*?)</JB_name>"
        return dict(re.findall(fields, self.call("qstat", "-u", "*", "-xml"), re.DOTALL))

    def tasks(self, job: str) -> dict[int, Task]:
        found = {}
        for row in self._rows():
            if row[0] == job:
                # id prior name user state date time [queue] slots [task]
                queue = row[7] if "@" in row[7] else ""
                rest = row[8:] if queue else row[7:]
                number = int(rest[1]) if len(rest) > 1 else 0
                found[number] = Task(number, row[4], queue.rpartition("@")[2])
        return found

    def running(self, job: str) -> set[int]:
        return {task.number for task in self.tasks(job).values() if task.state == "r"}

    def has_ended(self, job: str, task: int) -> bool:
        found = self.tasks(job).get(task)
        return found is None or "E" in found.state

    def finished_names(self) -> list[str]:
        accounts = self.directory / "default/common/accounting"
        lines = accounts.read_text().splitlines() if accounts.exists() else []
        return [line.split(":")[4] for line in lines if not line.startswith("#")]

    def cancel(self, job: str, task: int | None = None) -> None:
        self.call("qdel", job, *([] if task is None else ["-t", task]))

    def submit_true(self, tasks: int, at_once: int, directory: Path) -> float:
        began = time.monotonic()
        self.call(
            *["qsub", "-terse", "-t", f"1-{tasks}", "-tc", at_once, "-b", "y", "-j", "y", "-cwd"],
            *["-o", f"{directory}/own.$TASK_ID.log", "-S", "/bin/bash", "-N", "own_true", "true"],
        )
        wait_for(lambda: not self.jobs(), 120)
        return time.monotonic() - began


def is_running(pid: int) -> bool:
    """Does the process live? Dead ones that nobody has collected do not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text[text.rindex(")") + 2] not in "ZX"


def marked(directory: Path) -> list[int]:
    """Processes that run and have the directory in their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            text = (entry / "environ").read_bytes()
        except OSError:
            continue
        pid = int(entry.name)
        if str(directory).encode() in text and is_running(pid):
            found.append(pid)
    return found


def up_to_shepherd(pid: int) -> list[int]:
    """A process of a Grid Engine job and its ancestors, the last one being the job's sge_shepherd."""
    found = [pid]
    while not command_of(found[-1]).startswith("sge_shepherd"):
        found.append(int(Path(f"/proc/{found[-1]}/stat").read_text().rpartition(")")[2].split()[1]))
        assert found[-1] > 1, f"process {pid} has no shepherd"
    return found


def command_of(pid: int) -> str:
    """Name of a process."""
    return Path(f"/proc/{pid}/comm").read_text().strip()
