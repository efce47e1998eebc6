"""How long lists of a million utterances take: ``python benchmarks/lists.py``.

Generates a data directory, then times reading, checking, repairing, splitting and reading trials, each in a
process of its own whose peak memory is taken. Prints a Markdown table, and writes the same as JSON beside
it.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from svmixer.config import parse_args
from svmixer.fileio import atomic_write, write_json
from svmixer.lists import (
    Trials,
    fix_data_dir,
    iter_table,
    read_table,
    read_trials,
    split_list,
    validate_data_dir,
    write_spk2utt,
    write_table,
    write_trials,
)


@dataclass(frozen=True)
class BenchmarkConfig:
    """Options of the script."""

    # Utterances of the generated set.
    utterances: int = 1_200_000
    # Its speakers.
    speakers: int = 6_000
    # Its trials.
    trials: int = 600_000
    # Parts to split wav.scp into.
    jobs: int = 32
    # Folder for lists.md and lists.json.
    output: str = "exp/benchmark"


@dataclass(frozen=True)
class Timing:
    """One row of the table."""

    # what was done
    step: str
    # wall-clock seconds
    seconds: float
    # processor seconds: the figure to compare on a busy machine
    cpu_seconds: float
    # peak resident memory of the process, MiB; the row `idle` is what the interpreter and modules need
    peak_mib: float


def generate(folder: Path, config: BenchmarkConfig) -> None:
    """Write lists shaped like VoxCeleb2's: ids of speaker, video and file; every second trial is a target."""
    each = -(-config.utterances // config.speakers)

    def names() -> Iterator[tuple[str, str]]:
        for i in range(config.utterances):
            speaker, video, file = f"id{i // each:05d}", f"v{i % each // 10:010d}", f"{i % 10:05d}"
            yield f"{speaker}-{video}-{file}", f"/corpora/voxceleb2/dev/aac/{speaker}/{video}/{file}.m4a"

    write_table(folder / "wav.scp", names())
    utterances = [utterance for utterance, _ in names()]
    utt2spk = {utterance: utterance[:7] for utterance in utterances}
    write_table(folder / "utt2spk", utt2spk)
    write_spk2utt(folder / "spk2utt", utt2spk)
    rng = np.random.default_rng(0)
    enrol = rng.integers(config.utterances, size=config.trials)
    # The next utterance of the same speaker, or any utterance that is not the same.
    same = enrol // each * each + (enrol % each + 1) % each
    other = (enrol + rng.integers(1, config.utterances, size=config.trials)) % config.utterances
    test = np.where((np.arange(config.trials) % 2 == 0) & (same < config.utterances), same, other)
    rows = (
        (int(utterances[i][:7] == utterances[j][:7]), utterances[i], utterances[j])
        for i, j in zip(enrol.tolist(), test.tolist(), strict=True)
    )
    write_trials(folder / "trials", Trials.from_rows(rows))


def idle(folder: Path, config: BenchmarkConfig) -> None:
    """Nothing: the memory of the interpreter and the modules."""


def stream(folder: Path, config: BenchmarkConfig) -> None:
    """Every line of wav.scp, none kept."""
    for _ in iter_table(folder / "wav.scp"):
        pass


def read(folder: Path, config: BenchmarkConfig) -> None:
    """wav.scp as a dictionary."""
    read_table(folder / "wav.scp")


def validate(folder: Path, config: BenchmarkConfig) -> None:
    """All lists and the trials against each other."""
    validate_data_dir(folder)


def fix(folder: Path, config: BenchmarkConfig) -> None:
    """The repair of a directory that needs none."""
    fix_data_dir(folder)


def split(folder: Path, config: BenchmarkConfig) -> None:
    """wav.scp into one part a job."""
    split_list(folder / "wav.scp", config.jobs, f"{folder}/split/wav.JOB.scp")


def trials(folder: Path, config: BenchmarkConfig) -> None:
    """The trial list as arrays."""
    read_trials(folder / "trials")


def measure(step: Callable, folder: Path, config: BenchmarkConfig) -> Timing:
    """Run ``step`` in a fresh process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(step, folder, config, sender))
    process.start()
    sender.close()
    try:
        figures = receiver.recv()
    except EOFError:
        raise SystemExit(f"step {step.__name__} failed") from None
    process.join()
    return Timing(step.__name__, *figures)


def _run(step: Callable, folder: Path, config: BenchmarkConfig, sender) -> None:
    start, cpu_start = time.perf_counter(), time.process_time()
    step(folder, config)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_mib = peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    sender.send((round(seconds, 2), round(cpu_seconds, 2), round(peak_mib)))


def table(timings: list[Timing], config: BenchmarkConfig, machine: str) -> str:
    """The Markdown page."""
    size = f"{config.utterances:,} utterances, {config.speakers:,} speakers, {config.trials:,} trials"
    lines = [
        f"Lists of {size}; {machine}.",
        "",
        "| step | seconds | CPU seconds | peak MiB |",
        "|---|---|---|---|",
    ]
    lines += [f"| {t.step} | {t.seconds:.2f} | {t.cpu_seconds:.2f} | {t.peak_mib:.0f} |" for t in timings]
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    config = parse_args(BenchmarkConfig, argv, __doc__)
    machine = f"Python {platform.python_version()}, NumPy {np.__version__}, {os.cpu_count()} cores"
    with tempfile.TemporaryDirectory() as name:
        steps = (idle, generate, stream, read, validate, fix, split, trials)
        timings = [measure(step, Path(name), config) for step in steps]
    page = table(timings, config, machine)
    print(page, end="")
    output = Path(config.output)
    with atomic_write(output / "lists.md") as file:
        file.write(page)
    write_json(
        output / "lists.json",
        {"config": asdict(config), "machine": machine, "steps": [asdict(timing) for timing in timings]},
    )


if __name__ == "__main__":
    main()
