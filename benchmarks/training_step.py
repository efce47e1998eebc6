"""One training step of stages 3 and 4 against the plain form of the same mathematics, paired, part by part.

``python benchmarks/training_step.py`` trains svmixer_tiny with wavlm_tiny as teacher on generated noise.
Each system is a process of its own, since memory settings hold for a whole process; they take turns:

- ``plain``: :mod:`plain_training`, all states of the teacher, AdamW parameter by parameter, every loss
  fetched at every step, the C library's own memory settings;
- ``ours``: :class:`svmixer.training.loop.Loop` with the memory settings of ``stages/lib.sh``;
- ``cached``: the same with the teacher's states on disk.

Before that, losses and gradients of both forms on one batch are compared (:mod:`training_forms`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from measure import Result, Timing, command_line, write_result
from systems import ROOT
from torch.utils.data import DataLoader
from training_forms import TASKS, check, configuration, plain_module, plain_teacher, write_data

from svmixer.config import parse_args
from svmixer.distributed.device import make_fabric
from svmixer.training.distill import DistillTask
from svmixer.training.loop import Loop
from svmixer.training.speaker import SpeakerTask

PARTS = ("data", "teacher", "forward", "backward", "optimiser")
WARM_UP = 3


@dataclass(frozen=True)
class Options:
    """What is measured."""

    # Steps that count.
    rounds: int = 10
    # Numbers of threads.
    threads: tuple[int, ...] = (1, 2)
    # Stages: distill, train.
    stages: tuple[str, ...] = ("distill", "train")
    # Utterances in a batch.
    batch_size: int = 32
    # Utterances of the generated set, at least 20.
    utterances: int = 200
    # true: the last stage alone, few utterances, batches of two, two rounds.
    quick: bool = False
    # Folder for the results.
    output: str = "exp/benchmark"
    # For the processes that this one starts: the system.
    worker: str = ""
    # For these, too: the folder with the data.
    folder: str = ""


class Clock:
    """Seconds of each part of a step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, part: str, call: Callable) -> Callable:
        """``call``, whose time counts as ``part``."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            result = call(*args, **kwargs)
            self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - began
            return result

        return wrapped


def plain_step(task: DistillTask | SpeakerTask, clock: Clock) -> Callable[[dict[str, torch.Tensor]], None]:
    """A step of the plain form."""
    module = plain_module(task).train()
    parameters = list(module.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, foreach=False, fused=False)

    def update() -> None:
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        optimizer.zero_grad()

    def step(batch: dict[str, torch.Tensor]) -> None:
        states = clock.timed("teacher", plain_teacher)(task, batch["clean"])
        losses = clock.timed("forward", module)(batch, states)
        clock.timed("backward", losses["loss"].backward)()
        clock.timed("optimiser", update)()
        _ = {name: value.item() for name, value in losses.items()}

    return step


def our_step(
    task: DistillTask | SpeakerTask, folder: Path, clock: Clock
) -> Callable[[dict[str, torch.Tensor]], None]:
    """A step of the training loop itself."""
    task.module.forward = clock.timed("forward", task.module.forward)
    loop = Loop(make_fabric(task.config.device, "32-true"), task.config.loop, task, folder)
    loop.module.train()
    task.prepare = clock.timed("teacher", task.prepare)
    loop.fabric.backward = clock.timed("backward", loop.fabric.backward)
    loop.fabric.clip_gradients = clock.timed("optimiser", loop.fabric.clip_gradients)
    loop.optimizer.step = clock.timed("optimiser", loop.optimizer.step)
    meter = type("Meter", (), {"data_time": 0.0})()
    return lambda batch: loop._take_step(iter([batch]), meter)


def work(options: Options) -> None:
    """A system: for every line on standard input one step, its parts as JSON on standard output.

    The first lines also make a batch each, which the other ones use again.
    """
    stage, folder = options.stages[0], Path(options.folder)
    torch.set_num_threads(options.threads[0])
    config = configuration(folder, options.threads[0], options.batch_size, options.worker == "cached")
    task = TASKS[stage](config)
    clock = Clock()
    if options.worker == "plain":
        step = plain_step(task, clock)
    else:
        step = our_step(task, folder / f"{options.worker}-{stage}", clock)
    items = [[(1, number) for number in range(options.batch_size)]]
    loader: Iterator[dict[str, torch.Tensor]] = iter(DataLoader(task.train_set, batch_sampler=items * 10_000))
    batch: dict[str, torch.Tensor] = {}
    data = 0.0
    for number, _ in enumerate(sys.stdin):
        clock.seconds.clear()
        if number < WARM_UP:
            batch = clock.timed("data", next)(loader)
            data = clock.seconds["data"]
        clock.seconds["data"] = data
        began = time.perf_counter()
        step(batch)
        print(json.dumps({**clock.seconds, "step": time.perf_counter() - began}), flush=True)


def memory_settings() -> dict[str, str]:
    """What ``stages/lib.sh`` sets for trainings."""
    text = (ROOT / "stages/lib.sh").read_text()
    line = next(line for line in text.splitlines() if line.startswith("keep_memory=("))
    return dict(setting.split("=") for setting in line.removeprefix("keep_memory=(").rstrip(")").split())


def measure(options: Options, stage: str, threads: int, folder: Path) -> dict[str, dict[str, Timing]]:
    """Timings of every part of every system; the systems take turns."""
    workers = {}
    for system in ("plain", "ours", "cached"):
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        environment |= memory_settings() if system != "plain" else {}
        command = [
            sys.executable, __file__, "--worker", system, "--folder", str(folder), "--stages", f"[{stage}]",
            "--threads", f"[{threads}]", "--batch_size", str(options.batch_size),
        ]  # fmt: skip
        pipe = subprocess.PIPE
        workers[system] = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)
    found: dict[str, dict[str, list[float]]] = {system: {} for system in workers}
    for number in range(WARM_UP + options.rounds):
        for system, process in workers.items():
            process.stdin.write("step\n")
            process.stdin.flush()
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{system} ended with status {process.wait()}")
            seconds = json.loads(line)
            if number >= WARM_UP:
                for part in (*PARTS, "step"):
                    found[system].setdefault(part, []).append(seconds.get(part, 0.0))
    for process in workers.values():
        process.stdin.close()
        process.wait()
    return {system: {p: Timing(tuple(s)) for p, s in parts.items()} for system, parts in found.items()}


def cells(system: str, parts: dict[str, Timing], plain: Timing) -> list[str]:
    """A system's part of a table row; how many times faster than ``plain`` its steps are comes last."""
    pairs = zip(plain.seconds, parts["step"].seconds, strict=True)
    ratio = Timing(tuple(slow / fast for slow, fast in pairs))
    low, high = ratio.quartiles
    medians = [f"{1000 * parts[part].median:.0f}" for part in PARTS]
    return [system, *medians, parts["step"].milliseconds(), f"{ratio.median:.2f} [{low:.2f}, {high:.2f}]"]


def rows_of(stage: str, threads: int, timings: dict[str, dict[str, Timing]]) -> list[list[Any]]:
    """The table's rows of a stage and a number of threads."""
    plain = timings["plain"]["step"]
    return [[stage, threads, *cells(system, parts, plain)] for system, parts in timings.items()]


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    options = parse_args(Options, argv, __doc__)
    if options.worker:
        return work(options)
    if options.quick:
        options = replace(options, rounds=2, batch_size=2, utterances=20, stages=options.stages[-1:])
    rows: list[list[Any]] = []
    figures: dict[str, Any] = {"differences": {}, "seconds": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder, options.utterances)
        for stage in options.stages:
            figures["differences"][stage] = check(stage, folder, options.batch_size)
            for threads in options.threads:
                timings = measure(options, stage, threads, folder)
                rows += rows_of(stage, threads, timings)
                for system, parts in timings.items():
                    seconds = {part: list(timing.seconds) for part, timing in parts.items()}
                    figures["seconds"][f"{stage} {threads} {system}"] = seconds
    print(write_result(result(rows, figures, options), options.output))


def result(rows: list[list[Any]], figures: dict[str, Any], options: Options) -> Result:
    """The table."""
    header = ["stage", "threads", "system", *PARTS, "step without data", "times plain"]
    notes = [
        f"svmixer_tiny, teacher wavlm_tiny, batches of {options.batch_size}, crops of 3 s. Milliseconds, "
        "medians [quartiles]; `data` is the time to make one batch in one process, which data "
        "workers do beside the step. Losses and gradients of both forms agree to 1e-5."
    ]
    title = "A training step beside the plain form of it"
    return Result("training_step", title, command_line(), header, rows, "lrl" + "r" * 7, figures, notes)


if __name__ == "__main__":
    main()
