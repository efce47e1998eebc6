"""Seconds and memory of scoring a trial list and of AS-norm, by step, as large as VoxCeleb1's longest lists.

Embeddings are random unit vectors, speakers' centres plus noise. Memory is what a step needs on top of what
is there before it: the highest resident size during the step, less the size at its beginning.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from apart import apart
from measure import Result, Timing, command_line, write_result

from svmixer.config import from_dict, parse_args
from svmixer.inference.normalisation import cohort_statistics, normalise
from svmixer.inference.utterance import unit_length
from svmixer.scoring.metrics import score_trials, summary

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """Options of the benchmark."""

    # Utterances of the trials.
    utterances: int = 150_000
    # Their speakers.
    speakers: int = 1_251
    # Trials, half of them target.
    trials: int = 580_000
    # Embeddings of the cohort.
    cohort: int = 6_000
    # Highest cohort scores that count.
    top_k: int = 300
    # Numbers of an embedding.
    dimensions: int = 192
    # How often; the median counts.
    rounds: int = 3
    # Numbers of threads.
    threads: tuple[int, ...] = (1, 2)
    # true: some thousand trials, two rounds.
    quick: bool = False
    # Folder for the results.
    output: str = "exp/benchmark"


def resident() -> int:
    """Bytes of this process in memory now."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4096


class Meter:
    """Times steps, and watches the memory meanwhile."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.peak: dict[str, int] = {}

    def __call__(self, name: str, step: Callable[[], T]) -> T:
        before, highest, over = resident(), [0], threading.Event()

        def watch() -> None:
            while not over.wait(0.005):
                highest[0] = max(highest[0], resident())

        watcher = threading.Thread(target=watch)
        watcher.start()
        began = time.perf_counter()
        try:
            result = step()
        finally:
            seconds = time.perf_counter() - began
            over.set()
            watcher.join()
        self.seconds.setdefault(name, []).append(seconds)
        self.peak[name] = max(self.peak.get(name, 0), max(highest[0], resident()) - before)
        return result


def measured(options: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Seconds of every round and memory by step; ``options`` as of :class:`Options`."""
    settings = from_dict(Options, options)
    meter = Meter()
    embeddings, cohort, enrol, test, labels = material(settings)
    for _ in range(settings.rounds):
        scores = meter("scores of the trials", lambda: score_trials(embeddings, enrol, test))
        meter("EER and minDCF of them", lambda s=scores: summary(s, labels))
        mean, deviation = meter(
            "AS-norm: cohort statistics of every utterance",
            lambda: cohort_statistics(embeddings, cohort, settings.top_k),
        )
        normalised = meter(
            "AS-norm: normalising the trials",
            lambda s=scores, m=mean, d=deviation: normalise(s, enrol, test, m, d),
        )
        meter("EER and minDCF of the normalised", lambda s=normalised: summary(s, labels))
    return {"seconds": meter.seconds, "bytes": meter.peak}


def material(options: Options) -> tuple[np.ndarray, ...]:
    """Embeddings, cohort, both sides of the trials, labels."""
    rng = np.random.default_rng(0)
    size = options.dimensions

    def voices(speakers: np.ndarray) -> np.ndarray:
        centres = rng.standard_normal((speakers.max() + 1, size), np.float32)
        return unit_length(centres[speakers] + rng.standard_normal((len(speakers), size), np.float32))

    speakers = np.sort(rng.integers(options.speakers, size=options.utterances))
    enrol = rng.integers(options.utterances, size=options.trials)
    test = rng.integers(options.utterances, size=options.trials)
    # The neighbour in the list is of the same speaker but for the last of each.
    half = options.trials // 2
    test[:half] = np.minimum(enrol[:half] + 1, options.utterances - 1)
    labels = speakers[enrol] == speakers[test]
    return voices(speakers), voices(np.arange(options.cohort)), enrol, test, labels.astype(np.int8)


def rows_of(number: int, found: dict[str, dict[str, Any]]) -> list[list[Any]]:
    """The table's rows of a number of threads."""
    seconds = {step: Timing(tuple(times)).median for step, times in found["seconds"].items()}
    rows = [
        [number, step, f"{taken:.2f}", f"{found['bytes'][step] / 1e6:,.0f}"]
        for step, taken in seconds.items()
    ]
    most = max(found["bytes"].values())
    return [*rows, [number, "all", f"{sum(seconds.values()):.2f}", f"{most / 1e6:,.0f}"]]


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    options = parse_args(Options, argv, __doc__)
    if options.quick:
        options = replace(options, utterances=2000, speakers=40, trials=4000, cohort=500, rounds=2)
    found = {number: apart(measured, number, options=asdict(options)) for number in options.threads}
    title = (
        f"Scoring {options.trials:,} trials of {options.utterances:,} utterances of {options.dimensions} "
        f"numbers, AS-norm with {options.cohort:,} embeddings"
    )
    rows = [row for number, each in found.items() for row in rows_of(number, each)]
    result = Result(
        "scoring", title, command_line(), ("threads", "step", "seconds", "memory on top, MB"), rows, "rlrr",
        {"threads": {str(number): each for number, each in found.items()}},
        ["Medians of the rounds; the memory is the most of them."],
    )  # fmt: skip
    print(write_result(result, options.output))


if __name__ == "__main__":
    main()
