"""How long lists of a million utterances take.

Generates a data directory, then times reading, checking, repairing, what the dump does with lists
and what scoring does with trials, each in a process of its own whose peak memory is taken.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from apart import apart, peak_mib
from measure import Result, command_line, write_result

from svmixer.audio.dump import DROPPED_HEADER, JobFiles
from svmixer.audio.dumpset import DumpSet
from svmixer.audio.merge import MergeConfig, merge_jobs
from svmixer.audio.share import job_range, read_share
from svmixer.config import from_dict, parse_args
from svmixer.lists import (
    Trials,
    fix_data_dir,
    iter_table,
    read_table,
    read_trials,
    validate_data_dir,
    write_spk2utt,
    write_table,
    write_trials,
)
from svmixer.scoring.result import score_set
from svmixer.scoring.vectors import write_job


@dataclass(frozen=True)
class BenchmarkConfig:
    """Options of the script."""

    # Utterances of the generated set.
    utterances: int = 1_200_000
    # Its speakers.
    speakers: int = 6_000
    # Its trials, and those of the scored set.
    trials: int = 1_200_000
    # Utterances of the scored set; VoxCeleb1 has as many.
    scored: int = 150_000
    # Numbers of an embedding.
    dimensions: int = 192
    # Which steps, in this order; the first makes the lists, the others need `generate`, `load` needs `merge`.
    steps: tuple[str, ...] = (
        "generate", "idle", "stream", "read", "validate", "fix", "trials", "plan", "merge", "load", "join",
    )  # fmt: skip
    # Jobs that dumped it.
    jobs: int = 32
    # true: lists of some thousands.
    quick: bool = False
    # Folder for the results.
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


def trials(folder: Path, config: BenchmarkConfig) -> None:
    """The trial list as arrays."""
    read_trials(folder / "trials")


def plan(folder: Path, config: BenchmarkConfig) -> None:
    """What a dump job that has the whole set to itself is going to read."""
    read_share(folder, 1, 1, allow_pipes=False)


def merge(folder: Path, config: BenchmarkConfig) -> None:
    """The lists of all dump jobs into those of the dumped set."""
    names = (name for _, name, _ in iter_table(folder / "wav.scp"))
    for job in range(1, config.jobs + 1):
        files = JobFiles(str(folder / "dump"), job)
        own = list(itertools.islice(names, len(job_range(config.utterances, config.jobs, job))))
        write_table(files.scp, ((name, f"{files.ark}:{100_000 * n + 30}") for n, name in enumerate(own)))
        write_table(files.lengths, ((name, "48000") for name in own))
        files.dropped.write_text(DROPPED_HEADER)
    merge_jobs(MergeConfig(str(folder), str(folder / "dump"), config.jobs))


def load(folder: Path, config: BenchmarkConfig) -> None:
    """The dumped set as training opens it."""
    DumpSet(folder / "dump")


def join(folder: Path, config: BenchmarkConfig) -> None:
    """Embeddings, trials, scores and error rates of the scored set, with few draws for the interval."""
    scored = folder / "scored"
    names = [f"id{i // 100:05d}-{i % 100:03d}" for i in range(config.scored)]
    write_table(scored / "utt2spk", ((name, name[:7]) for name in names))
    rng = np.random.default_rng(0)
    enrol, test = rng.integers(config.scored, size=(2, config.trials))
    labels = (np.arange(config.trials) % 2 == 0).astype(np.int8)
    # Every second trial is of one speaker: another of its hundred utterances.
    test = np.where(labels == 1, enrol // 100 * 100 + (enrol + 1) % 100, test).clip(max=config.scored - 1)
    write_trials(scored / "trials", Trials(labels, enrol, test, names))
    vectors = ((name, rng.standard_normal(config.dimensions)) for name in names)
    settings = {"protocol": "whole", "num_crops": 1, "lowpass_hz": 0.0, "max_seconds": 0.0, "model": "none"}
    write_job(scored, 1, vectors, settings)
    score_set(scored, scored, scored, num_jobs=1, replicates=10, seed=0)


def measure(step: str, folder: Path, config: BenchmarkConfig) -> Timing:
    """Run a step in a fresh process."""
    return Timing(step, **apart(run_step, 1, step=step, folder=str(folder), config=asdict(config)))


def run_step(step: str, folder: str, config: dict[str, Any]) -> dict[str, float]:
    """The figures of one step, taken in this process."""
    settings = from_dict(BenchmarkConfig, config)
    start, cpu_start = time.perf_counter(), time.process_time()
    STEPS[step](Path(folder), settings)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    peak = round(peak_mib())
    return {"seconds": round(seconds, 2), "cpu_seconds": round(cpu_seconds, 2), "peak_mib": peak}


STEPS: dict[str, Callable[[Path, BenchmarkConfig], None]] = {
    step.__name__: step
    for step in (generate, idle, stream, read, validate, fix, trials, plan, merge, load, join)
}


def result(timings: list[Timing], config: BenchmarkConfig) -> Result:
    """The table."""
    rows = [[t.step, f"{t.seconds:.2f}", f"{t.cpu_seconds:.2f}", f"{t.peak_mib:.0f}"] for t in timings]
    notes = [
        f"Lists of {config.utterances:,} utterances, {config.speakers:,} speakers, {config.trials:,} trials; "
        f"`join`: {config.scored:,} utterances, {config.dimensions} dimensions. `idle` is what interpreter "
        "and modules need."
    ]
    return Result(
        "lists", "Long lists", command_line(),
        ["step", "seconds", "CPU seconds", "peak MiB"], rows, "lrrr",
        {"config": asdict(config), "steps": [asdict(timing) for timing in timings]}, notes,
    )  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    config = parse_args(BenchmarkConfig, argv, __doc__)
    if config.quick:
        config = replace(config, utterances=2000, speakers=40, trials=2000, scored=400, jobs=4)
    with tempfile.TemporaryDirectory() as name:
        timings = [measure(step, Path(name), config) for step in config.steps]
    print(write_result(result(timings, config), config.output))


if __name__ == "__main__":
    main()
