"""What the tests of the dispatchers share: calling them and looking at logs and processes."""

import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN_PL = ROOT / "tools" / "run.pl"

DATE = r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \S+ \d{4}"
LOG = re.compile(
    rf"# (?P<command>[^\n]*)\n# Started at {DATE}\n#(?P<place>[^\n]*)\n(?P<output>.*?)"
    rf"# Accounting: time=(?P<time>\d+) threads=(?P<threads>\d+)\n"
    rf"# Ended \((?P<end>code \d+(?:; signal \d+)?)\) at {DATE}, elapsed time (?P<elapsed>\d+) seconds\n\Z",
    re.DOTALL | re.ASCII,
)


class Dispatcher:
    """run.pl or another dispatcher, called in one directory."""

    def __init__(self, directory: Path, program: Path = RUN_PL):
        self.directory = directory
        self.program = program

    def environment(self, **changes: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k not in ("DISPATCH_DRIVER_PID", "OMP_NUM_THREADS")}
        return {**kept, **changes}

    def __call__(self, *words, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
        """Run it to its end; stdout and stderr are text."""
        return subprocess.run(
            [self.program, *map(str, words)],
            cwd=self.directory,
            env=self.environment(**(env or {})),
            text=True,
            capture_output=True,
            timeout=60,
            errors="surrogateescape",
        )

    def start(self, *words, env: dict[str, str] | None = None, **options) -> subprocess.Popen:
        """Start it in the background."""
        return subprocess.Popen(
            [self.program, *map(str, words)],
            cwd=self.directory,
            env=self.environment(**(env or {})),
            text=True,
            stderr=subprocess.PIPE,
            **options,
        )

    def log(self, name: str) -> dict[str, str]:
        """The parts of a complete log."""
        text = (self.directory / name).read_text(errors="surrogateescape")
        match = LOG.match(text)
        assert match, f"{name} has not the layout of a log:\n{text}"
        return match.groupdict()


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Poll until the condition holds; the time is a limit for a machine under load, not a measure."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {seconds} s"
        time.sleep(0.01)


def process_state(pid: int) -> tuple[str, int] | None:
    """State letter and parent of a process, None if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, parent = text[text.rindex(")") + 2 :].split()[:2]
    return state, int(parent)


def is_running(pid: int) -> bool:
    """Dead but not yet collected processes do not count."""
    state = process_state(pid)
    return state is not None and state[0] not in "ZX"


def read_pids(directory: Path, pattern: str = "*.pid") -> list[int]:
    """The process ids that tasks wrote into files (only complete lines)."""
    texts = [path.read_text() for path in sorted(directory.glob(pattern))]
    return [int(text) for text in texts if text.endswith("\n")]
