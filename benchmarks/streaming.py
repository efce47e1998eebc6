"""Streaming: what a chunk costs, how soon the embedding follows a window's last sample.

Noise arrives in chunks of several sizes at streams that get every chunk in turn. Latency is the time from the
last sample of a window to the embedding that includes it; other chunks are only kept. Without ``--model`` the
model is a small one with random weights, which computes as fast. ``--export`` adds the ONNX runtime.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from apart import apart, threads
from extraction import SYSTEM
from measure import Result, Timing, command_line, write_result
from scoring import resident
from systems import described, open_model

from svmixer.config import from_dict, parse_args
from svmixer.inference.stream import EmbeddingStream

RATE = 16000


@dataclass(frozen=True)
class Options:
    """Options of the benchmark."""

    # Model directory; empty: the default recipe's with random weights.
    model: str = ""
    # Directory with an ONNX export; empty leaves it out.
    export: str = ""
    # Seconds from one window to the next.
    hops: tuple[float, ...] = (0.5, 1.0)
    # Seconds of a chunk.
    chunks: tuple[float, ...] = (0.01, 0.1, 0.5)
    # Seconds of audio for each.
    seconds: float = 20.0
    # Minutes of audio for the memory.
    minutes: float = 10.0
    # Numbers of threads.
    threads: tuple[int, ...] = (1, 2)
    # true: two kinds of chunks, some seconds of audio each.
    quick: bool = False
    # Folder for the results.
    output: str = "exp/benchmark"


def measured(options: dict[str, Any]) -> dict[str, Any]:
    """Everything for this process's number of threads; ``options`` as of :class:`Options`."""
    settings = from_dict(Options, options)
    model = open_model(settings.model, SYSTEM)
    systems = {"torch": lambda hop: model.stream(hop=hop)}
    if settings.export:
        from svmixer.runtime import load_onnx

        exported = load_onnx(Path(settings.export), "float32", threads())
        systems["onnx float32"] = lambda hop: exported.stream(hop=hop)
    threads()
    cases = []
    for hop in settings.hops:
        for chunk in settings.chunks:
            streams = {name: make(round(hop * RATE)) for name, make in systems.items()}
            found = run(streams, chunk, settings.seconds)
            cases.append({"hop": hop, "chunk": chunk, "streams": found})
    stream = systems["torch"](round(settings.hops[0] * RATE))
    return {"window": model.window, "cases": cases, "growth_bytes": growth(stream, settings.minutes)}


def run(streams: dict[str, EmbeddingStream], chunk: float, seconds: float) -> dict[str, dict[str, Any]]:
    """By stream: seconds of every latency, median seconds of other chunks if there are any, times real time.

    The first window of each stream, which warms up, is not counted in the latency.
    """
    rng = np.random.default_rng(0)
    size = round(chunk * RATE)
    latency: dict[str, list[float]] = {name: [] for name in streams}
    waiting: dict[str, list[float]] = {name: [] for name in streams}
    busy = dict.fromkeys(streams, 0.0)
    for _ in range(round(seconds / chunk)):
        wave = (0.1 * rng.standard_normal(size)).astype(np.float32)
        for name, stream in streams.items():
            first = stream.windows == 0
            began = time.perf_counter()
            completed = stream.push(wave)
            if completed:
                stream.embedding()
            took = time.perf_counter() - began
            busy[name] += took
            if completed and not first:
                latency[name].append(took)
            elif not completed:
                waiting[name].append(took)
    return {
        name: {
            "latency": latency[name],
            "waiting": float(np.median(waiting[name])) if waiting[name] else None,
            "times_real_time": seconds / busy[name],
        }
        for name in streams
    }


def growth(stream: EmbeddingStream, minutes: float) -> int:
    """Bytes by which the process grows after the first minute."""
    rng = np.random.default_rng(0)
    before = 0
    for second in range(round(60 * minutes)):
        stream.push((0.1 * rng.standard_normal(RATE)).astype(np.float32))
        if second == 59:
            before = resident()
    return resident() - before


def rows_of(number: int, found: dict[str, Any]) -> list[list[Any]]:
    """The table's rows of a number of threads."""
    rows = []
    for case in found["cases"]:
        for name, stream in case["streams"].items():
            waiting = "" if stream["waiting"] is None else f"{1e6 * stream['waiting']:.0f}"
            rows.append([
                number, f"{case['hop']:g}", f"{1000 * case['chunk']:g}", name,
                Timing(tuple(stream["latency"])).milliseconds(), waiting, f"{stream['times_real_time']:.0f}",
            ])  # fmt: skip
    return rows


def result(by_threads: dict[int, dict[str, Any]], options: Options) -> Result:
    """The table."""
    header = ["threads", "hop s", "chunk ms", "stream", "latency ms", "other chunks µs", "times real time"]
    grown = ", ".join(f"{found['growth_bytes'] / 1e6:+.1f} MB" for found in by_threads.values())
    notes = [
        f"{described(options.model, SYSTEM)}, on noise. Latency: from the last sample of a window to the "
        "embedding with it, median and quartiles; other chunks are only kept. Resident memory of one stream "
        f"from the first to minute {options.minutes:g}: {grown}."
    ]
    window = next(iter(by_threads.values()))["window"] / RATE
    return Result(
        "streaming", f"Streaming, windows of {window:g} s", command_line(), header,
        [row for number, found in by_threads.items() for row in rows_of(number, found)], "rrrlrrr",
        {"threads": {str(number): found for number, found in by_threads.items()}}, notes,
    )  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    options = parse_args(Options, argv, __doc__)
    if options.quick:
        options = replace(options, hops=(0.5,), chunks=(0.1, 0.5), seconds=5.0, minutes=1.1)
    found = {number: apart(measured, number, options=asdict(options)) for number in options.threads}
    print(write_result(result(found, options), options.output))


if __name__ == "__main__":
    main()
