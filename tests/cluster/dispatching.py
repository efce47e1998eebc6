"""Calls of a dispatcher, watched: what it says and when, when it ends, and what its tasks leave behind."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import ClassVar

from clusters import ROOT, Cluster, is_running, wait_for

# A task that says who it is and stays until it is told otherwise; $0 is its number.
SLEEPER = "echo $$ > JOB.pid.new; mv JOB.pid.new JOB.pid; exec sleep 600"


class Call:
    """A dispatcher that runs in the background. Times are those of ``time.monotonic``, in seconds."""

    # Those of the current test.
    made: ClassVar[list[Call]] = []

    def __init__(self, cluster: Cluster, directory: Path, *words: object, **environment: str):
        self.cluster, self.directory = cluster, directory
        self.lines: list[tuple[float, str]] = []
        self.ended = 0.0
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [ROOT / "tools" / cluster.dispatcher, *map(str, words)],
            cwd=directory,
            env=cluster.env(**environment),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._read, self._wait)]
        for thread in self._threads:
            thread.start()
        self.made.append(self)

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.lines.append((time.monotonic(), line))

    def _wait(self) -> None:
        self.process.wait()
        self.ended = time.monotonic()

    @property
    def stderr(self) -> str:
        return "".join(line for _, line in self.lines)

    def end(self) -> None:
        """End it, if a test has failed before it did."""
        if not self.ended:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.finish(time.monotonic() - self.began + 90)

    def finish(self, seconds: float = 60.0) -> int:
        """Exit status, once it has ended."""
        for thread in reversed(self._threads):
            thread.join(max(0.0, self.began + seconds - time.monotonic()))
        assert self.ended, f"{self.cluster.dispatcher} still runs after {seconds} s; it said:\n{self.stderr}"
        return self.process.returncode

    def said(self, text: str, seconds: float = 30.0) -> float:
        """The time at which it said a line that contains the text."""

        def look() -> float:
            for when, line in list(self.lines):
                if text in line:
                    return when
            assert not self.ended, f"ended without saying {text!r}; it said:\n{self.stderr}"
            return 0.0

        return wait_for(look, seconds, f"{text!r} on stderr, which has:\n{self.stderr}")

    def jobs(self) -> list[str]:
        """Its own that wait or run: a Slurm that lost its last seconds brings back those of others."""
        # The dispatcher ends a job's name with HOST-PID-TIME, and a number from the second submission on.
        own = re.compile(rf"-{self.process.pid}-\d+(?:-\d+)?\Z")
        return [number for number, name in self.cluster.names().items() if own.search(name)]

    def job(self) -> str:
        """The number of its job at the scheduler."""
        (number,) = wait_for(self.jobs, what="the job")
        return number

    def left_nothing(self, seconds: float = 30.0) -> None:
        """No job of this call waits or runs any more."""
        wait_for(lambda: not self.jobs(), seconds, "the end of its jobs")

    def pids(self, *numbers: int) -> dict[int, int]:
        """Process ids that ``SLEEPER`` tasks wrote, once all these tasks have."""
        files = {number: self.directory / f"{number}.pid" for number in numbers}
        wait_for(
            lambda: self.ended or all(file.exists() for file in files.values()),
            what=f"the start of tasks {numbers}",
        )
        assert not self.ended, f"ended before its tasks ran; it said:\n{self.stderr}"
        return {number: int(file.read_text()) for number, file in files.items()}

    def rerun_command(self) -> str:
        """The command at the end of the report that runs what failed again; it may have several lines."""
        match = re.search(r": to run (?:only what failed|it again): (.*)\n\Z", self.stderr, re.DOTALL)
        assert match, f"no command to run it again in:\n{self.stderr}"
        return match[1]

    def rerun_words(self) -> list[str]:
        """Its words, as a shell reads them."""
        printed = subprocess.run(
            ["bash", "-c", f"printf '%s\\0' {self.rerun_command()}"],
            capture_output=True,
            text=True,
            check=True,
        )
        return printed.stdout.split("\0")[:-1]

    def log(self, name: str) -> str:
        """What a task printed, without the head and foot that the dispatcher writes.

        Raises:
            AssertionError: the log is not whole.
        """
        text = (self.directory / name).read_text()
        match = re.fullmatch(
            r"# [^\n]*\n# Started at [^\n]*\n# on [^\n]*\n(.*?)"
            r"# Accounting: time=\d+ threads=\d+\n"
            r"# Ended \(code \d+(?:; signal \d+)?\) at [^\n]*, elapsed time \d+ seconds\n",
            text,
            re.DOTALL,
        )
        assert match, f"{name} has not the layout of a log:\n{text}"
        return match[1]


def put_before(folder: Path, program: str, line: str) -> None:
    """Make ``folder/program``, which runs a line of bash first: for a PATH that begins with the folder."""
    folder.mkdir(exist_ok=True)
    path = folder / program
    path.write_text(f'#!/bin/bash\n{line}\nPATH=${{PATH#*:}} exec {program} "$@"\n')
    path.chmod(0o755)


class Report:
    """The moment at which the scheduler itself says that a task has ended, looked for while a call runs."""

    def __init__(self, call: Call, job: str, number: int):
        self.at: float | None = None
        self._call, self._job, self._number = call, job, number
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._call.ended:
            if self._said():
                self.at = time.monotonic()
                return
            time.sleep(0.1)

    def _said(self) -> bool:
        try:
            return self._call.cluster.has_ended(self._job, self._number)
        except RuntimeError:
            return False  # it does not answer


def last_of(reports: list[Report]) -> float | None:
    """When the scheduler had reported all of them, if it did."""
    moments = [report.at for report in reports]
    return None if None in moments else max(moments)


def wait_dead(pid: int, seconds: float = 60.0) -> float:
    """The time at which a process was gone."""
    wait_for(lambda: not is_running(pid), seconds, f"the end of process {pid}")
    return time.monotonic()
