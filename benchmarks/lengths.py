"""Real-time factor and peak memory by length of the recording, from a WAV file to its embedding.

Every figure comes from a process of its own that loads the model, reads the file and embeds it: at once
(``open_wave`` and ``embed``), or second by second through ``stream()``. Weights are random; they cost the
same.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from apart import apart, peak_mib
from measure import Result, command_line, write_result
from systems import load_system, write_system

from svmixer.audio.dumpset import RATE
from svmixer.config import parse_args
from svmixer.fileio import read_json

# Seconds that the calls of one length take together at least, and how many they are at most.
_ENOUGH, _MOST = 2.0, 20
# The lengths whose memory is compared, in seconds.
_SHORT, _LONG = 60.0, 3600.0


@dataclass(frozen=True)
class LengthsConfig:
    """Options of the script."""

    # Systems: a student of conf/student and a backend of conf/backend each.
    systems: tuple[str, ...] = ("svmixer_small+ecapa", "svmixer_tiny+statistics")
    # Lengths in seconds.
    seconds: tuple[float, ...] = (1.0, 3.0, 10.0, 60.0, 600.0, 3600.0)
    # Numbers of threads.
    threads: tuple[int, ...] = (1, 2)
    # torch: PyTorch; onnx: the exported graph in ONNX Runtime; both in float32.
    runtimes: tuple[str, ...] = ("torch", "onnx")
    # whole: the recording at once; stream: second by second.
    ways: tuple[str, ...] = ("whole", "stream")
    # true: what lengths.json in the output folder has already is kept and not measured again.
    resume: bool = False
    # true: the smallest model and lengths of a minute at most, once each.
    quick: bool = False
    # Folder for the results.
    output: str = "exp/benchmark"


@dataclass(frozen=True)
class Case:
    """What one process measures."""

    system: str
    runtime: str
    way: str
    threads: int
    seconds: float


def cases(config: LengthsConfig) -> Iterator[Case]:
    """All of them, a table row's lengths one after the other."""
    for system in config.systems:
        for runtime in config.runtimes:
            for way in config.ways:
                for threads in config.threads:
                    for seconds in config.seconds:
                        yield Case(system, runtime, way, threads, seconds)


def noise(rng: np.random.Generator, count: int) -> np.ndarray:
    """White noise ``(count,)``, its standard deviation 0.1."""
    return 0.1 * rng.standard_normal(count, dtype=np.float32)


def write_noise(path: Path, seconds: float) -> None:
    """16-bit noise at 16 kHz, a minute at a time."""
    rng = np.random.default_rng(0)
    left = round(seconds * RATE)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        while left:
            count = min(left, 60 * RATE)
            file.write(noise(rng, count))
            left -= count


def embed_whole(model: Any, path: str) -> np.ndarray:
    """The recording at once."""
    from svmixer.audio import open_wave

    wave, rate = open_wave(path)
    return model.embed(wave, rate, "whole")


def embed_stream(model: Any, path: str) -> np.ndarray:
    """Second by second, as from a microphone."""
    stream = model.stream()
    with soundfile.SoundFile(path) as file:
        while len(piece := file.read(RATE, dtype="float32")):
            stream.push(piece)
    return stream.embedding()


def run_case(model: str, path: str, runtime: str, way: str, once: bool) -> dict[str, float]:
    """Seconds of one embedding (the median of some) and the peak memory of this process in MiB."""
    embedder = load_system(model, runtime)
    embed: Callable[[Any, str], np.ndarray] = {"whole": embed_whole, "stream": embed_stream}[way]
    # What is made once, threads and plans, is made by one window of noise: silence is refused.
    embedder.embed(noise(np.random.default_rng(0), embedder.window))
    times: list[float] = []
    while not times or (not once and sum(times) < _ENOUGH and len(times) < _MOST):
        began = time.perf_counter()
        embed(embedder, path)
        times.append(time.perf_counter() - began)
    return {"taken": statistics.median(times), "calls": len(times), "peak_mib": peak_mib()}


def measure(config: LengthsConfig, known: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every case with its figures, and those that ``known`` has already, which are not measured again."""
    done = {Case(**{key: item[key] for key in Case.__dataclass_fields__}): item for item in known}
    wanted = list(cases(config))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for case in wanted:
            if case in done:
                continue
            if not (folder / case.system).exists():
                write_system(case.system, folder / case.system, "onnx" in config.runtimes)
            wave = folder / f"{case.seconds:g}.wav"
            if not wave.exists():
                write_noise(wave, case.seconds)
            found = apart(
                run_case, case.threads, model=str(folder / case.system), path=str(wave),
                runtime=case.runtime, way=case.way, once=config.quick,
            )  # fmt: skip
            done[case] = {**asdict(case), **found, "real_time_factor": found["taken"] / case.seconds}
            print(f"{case}: {found['taken']:.3f} s, {found['peak_mib']:.0f} MiB", file=sys.stderr, flush=True)
    return [done[case] for case in sorted(done, key=astuple)]


def duration(seconds: float) -> str:
    """``3 s``, ``10 min``, ``1 h``."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def growth(row: list[dict[str, Any]]) -> float | None:
    """Peak memory of an hour over that of a minute; None if one of them was not measured."""
    peaks = {item["seconds"]: item["peak_mib"] for item in row}
    return peaks[_LONG] / peaks[_SHORT] if {_SHORT, _LONG} <= peaks.keys() else None


def results(measured: list[dict[str, Any]]) -> list[Result]:
    """The table of times and that of memory; what was not measured is left open."""
    rows: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for item in measured:
        key = (item["system"], item["runtime"], item["way"], str(item["threads"]))
        rows.setdefault(key, []).append(item)
    seconds = sorted({item["seconds"] for item in measured})
    lengths = [duration(length) for length in seconds]
    header, align = ["system", "runtime", "way", "threads", *lengths], "lllr" + "r" * len(lengths)
    times, memory = [], []
    for key, row in rows.items():
        by_length = {item["seconds"]: item for item in row}
        found = [by_length.get(length) for length in seconds]
        ratio = growth(row)
        times.append([*key, *(f"{item['real_time_factor']:.4f}" if item else "" for item in found)])
        peaks = [f"{item['peak_mib']:.0f}" if item else "" for item in found]
        memory.append([*key, *peaks, "" if ratio is None else f"{ratio:.2f}"])
    command = command_line()
    ways = "`whole`: `open_wave` and `embed` of a 16-bit WAV file; `stream`: `stream()`, second by second."
    weights = "Random weights, float32, each figure from a process of its own."
    return [
        Result(
            "lengths", "Real-time factor by length of the recording", command, header, times, align,
            {"cases": measured}, [f"Seconds of computing for a second of audio. {ways} {weights}"],
        ),
        Result(
            "lengths_memory", "Peak memory by length of the recording, MiB", command,
            [*header, f"{duration(_LONG)} / {duration(_SHORT)}"], memory, align + "r",
            {"rows": [{"row": list(key), "growth": growth(row)} for key, row in rows.items()]},
            [f"Peak resident memory, interpreter, libraries and model included. {ways} {weights}"],
        ),
    ]  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    config = parse_args(LengthsConfig, argv, __doc__)
    if config.quick:
        config = replace(
            config, systems=config.systems[-1:],
            seconds=tuple(seconds for seconds in config.seconds if seconds <= _SHORT),
        )  # fmt: skip
    file = Path(config.output) / "lengths.json"
    known = read_json(file)["cases"] if config.resume and file.exists() else []
    for result in results(measure(config, known)):
        print(write_result(result, config.output))


if __name__ == "__main__":
    main()
