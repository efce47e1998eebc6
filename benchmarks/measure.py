"""What the benchmarks share: paired timing, how idle the machine was, and tables in two formats.

Systems that are compared run in turn, round after round, in one process tree, so that a slow minute of the
machine meets all of them. Figures are medians with the quartiles beside them; ratios are medians of the
ratios of each round.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import shlex
import statistics
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svmixer.fileio import atomic_write, write_json
from svmixer.report.places import command_lines
from svmixer.report.tables import table

# Characters in a line of text; tables are as wide as they are.
WIDTH = 118


def number_formats() -> list[str]:
    """Formats whose matrix products are timed: without oneDNN's, one in bfloat16 takes minutes."""
    import torch

    bfloat16 = ["bfloat16"] if torch.ops.mkldnn._is_mkldnn_bf16_supported() else []
    return ["float32", *bfloat16, "int8"]


@dataclass(frozen=True)
class Timing:
    """Seconds of one system in every round, in the order of the rounds."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median of the rounds in seconds."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartile of the rounds in seconds."""
        if len(self.seconds) < 2:
            return self.seconds[0], self.seconds[0]
        first, _, third = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return first, third

    def over(self, other: Timing) -> float:
        """How many times faster ``other`` is: the median of the rounds' ratios of our time to its."""
        pairs = zip(self.seconds, other.seconds, strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)

    def milliseconds(self) -> str:
        """``12.3 [12.1, 12.9]``: median and quartiles in milliseconds."""
        low, high = self.quartiles
        return f"{1000 * self.median:.1f} [{1000 * low:.1f}, {1000 * high:.1f}]"


def paired(
    systems: Mapping[str, Callable[[], object]],
    rounds: int,
    warm_up: int = 2,
    repeat: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Time every system once a round, each round in the same order; ``repeat`` calls count as one time.

    The times are those of one call. The first ``warm_up`` rounds are not counted. ``time.process_time`` as
    the clock leaves out what else runs on the machine; it adds up the threads of a call.
    """
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for number in range(warm_up + rounds):
        for name, call in systems.items():
            began = clock()
            for _ in range(repeat):
                call()
            if number >= warm_up:
                seconds[name].append((clock() - began) / repeat)
    return {name: Timing(tuple(times)) for name, times in seconds.items()}


def idle_share(seconds: float = 0.5) -> float:
    """The share of a processor that each of as many processes as processors gets: 1 on an idle machine."""
    context = multiprocessing.get_context("spawn")
    count = len(os.sched_getaffinity(0))
    together, shares = context.Barrier(count), context.Queue()
    processes = [context.Process(target=_spin, args=(seconds, together, shares)) for _ in range(count)]
    for process in processes:
        process.start()
    found = [shares.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    return statistics.mean(found)


def _spin(seconds: float, together: Any, shares: Any) -> None:
    together.wait()
    began, used = time.monotonic(), time.process_time()
    while time.monotonic() < began + seconds:
        pass
    shares.put((time.process_time() - used) / (time.monotonic() - began))


def machine() -> dict[str, str]:
    """Processor, system and versions that figures depend on."""
    facts = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            facts["processor"] = line.partition(":")[2].strip()
            break
    for package in ("numpy", "torch", "onnxruntime", "openvino"):
        try:
            facts[package] = str(__import__(package).__version__)
        except ImportError:
            continue
    return facts


def command_line() -> str:
    """The command that this process was started by, as from the project's directory with its environment."""
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])


@dataclass(frozen=True)
class Result:
    """A table of a benchmark and the figures behind it."""

    # File name of the results, without suffix.
    name: str
    # Heading of the table.
    title: str
    # Command that makes it, from the project's directory.
    command: str
    header: Sequence[str]
    # Cells as they are printed.
    rows: Sequence[Sequence[Any]]
    # ``l`` or ``r`` a column.
    align: str
    # Everything measured, for the JSON file.
    figures: Mapping[str, Any]
    # Lines below the table: what limits, how it was measured.
    notes: Sequence[str] = ()


def write_result(result: Result, output_dir: str | Path) -> str:
    """Write ``<name>.json`` and ``<name>.md`` to ``output_dir``; the Markdown, which names the command."""
    share = idle_share()
    about = {"command": result.command, "machine": machine(), "processor_share": round(share, 2)}
    lines = [f"## {result.title}", "", "```bash", *command_lines(result.command, WIDTH), "```", ""]
    lines += [table(result.header, result.rows, result.align)]
    notes = list(result.notes)
    if share < 0.9:
        notes += ["", f"Other work ran on the machine: a process got {share:.0%} of a processor."]
    lines += ["", *(line for note in notes for line in textwrap.wrap(note, WIDTH) or [""])] if notes else []
    text = "\n".join(lines) + "\n"
    Path(output_dir).mkdir(parents=True, exist_ok=True)
    write_json(Path(output_dir) / f"{result.name}.json", {**about, **result.figures})
    with atomic_write(Path(output_dir) / f"{result.name}.md") as file:
        file.write(text)
    return text
