"""Stand-ins for the commands of the schedulers, for what can be tested without one.

They note how they were called. The submit commands run the tasks of the array at once, one after the other,
with the environment that a job gets; the status commands print what a test wrote into files.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from run_pl_helpers import ROOT, Dispatcher

NAMES = {
    "slurm.pl": ("sbatch", "squeue", "scancel"),
    "queue.pl": ("qsub", "qstat", "qdel", "qacct"),
}
EMPTY_QSTAT = "<job_info><queue_info></queue_info><job_info></job_info></job_info>\n"

SCRIPT = """#!{python} -S
import json, os, re, subprocess, sys
home, name, words = {home!r}, os.path.basename(sys.argv[0]), sys.argv[1:]
with open(home + "/calls", "a") as calls:
    calls.write(json.dumps([name, *words]) + "\\n")
answer = home + "/" + name + ".answer"
if os.path.exists(answer):
    text = open(answer).read()
    code, _, text = text.partition("\\n")
    (sys.stdout if code == "0" else sys.stderr).write(text)
    sys.exit(int(code))
if name in ("sbatch", "qsub"):
    print(77)
    sys.stdout.flush()
    arrays = [word[8:] for word in words if word.startswith("--array=")]
    text = arrays[0] if arrays else words[words.index("-t") + 1]
    for part in text.split("%")[0].split(","):
        first, _, last = part.partition("-")
        for task in range(int(first), int(last or first) + 1):
            job = dict(SLURM_JOB_ID="77", SLURM_ARRAY_TASK_ID=str(task), SLURM_EXPORT_ENV="PATH")
            if name == "qsub":
                job = dict(JOB_ID="77", SGE_TASK_ID=str(task), RESTARTED="0")
            env = dict(job, PATH=os.environ["PATH"], HOME="/nowhere", TMPDIR="/tmp")
            subprocess.call(["setsid", "bash", words[-1]], env=env, cwd="/", stdout=subprocess.DEVNULL)
elif name == "qstat":
    print({empty!r})
elif name == "qacct":
    sys.exit(1)
"""


class Cluster(Dispatcher):
    """A dispatcher with stand-ins for its scheduler's commands."""

    def __init__(self, directory: Path, program: str):
        super().__init__(directory, ROOT / "tools" / program)
        self.home = directory.parent / f"{directory.name}-{program}-commands"
        self.home.mkdir()
        self.submit = NAMES[program][0]
        for name in NAMES[program]:
            command = self.home / name
            text = SCRIPT.format(python=sys.executable, home=str(self.home), empty=EMPTY_QSTAT)
            command.write_text(text)
            command.chmod(0o755)

    def environment(self, **changes: str) -> dict[str, str]:
        return super().environment(**{"PATH": f"{self.home}:{os.environ['PATH']}", **changes})

    def answer(self, name: str, code: int, text: str) -> None:
        """Let a command end with this code, having printed this text."""
        (self.home / f"{name}.answer").write_text(f"{code}\n{text}")

    def calls(self, name: str) -> list[list[str]]:
        """The words of all calls of one command."""
        if not (self.home / "calls").exists():
            return []
        lines = [json.loads(line) for line in (self.home / "calls").read_text().splitlines()]
        return [line[1:] for line in lines if line[0] == name]

    def submitted(self, *words) -> list[str]:
        """The words of the one submission that a successful call makes."""
        done = self(*words)
        assert (done.returncode, done.stderr) == (0, "")
        (call,) = self.calls(self.submit)
        return call


def perl(code: str, *words: str) -> str:
    """What Perl code prints that uses the dispatchers' modules."""
    done = subprocess.run(
        ["perl", f"-I{ROOT / 'tools/perl'}", "-w", "-Mstrict", "-e", code, *words],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
