"""Embeddings a second on a list of utterances, beside what the model alone could do with their windows.

Compute-bound means: the same windows in full batches that lie in memory already. Without ``--data_dir`` the
utterances are noise, at least 4 s long and log-normally more, 8.2 s on average, as VoxCeleb1's are. Rounds
take consecutive pieces of the list, each with extraction, compute-bound and one utterance after the other in
turn. The model is that of ``--model``, or a small one with random weights, which computes as fast.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import kaldiio
import numpy as np
from apart import apart, threads
from measure import Result, command_line, paired, write_result
from systems import described, open_model

from svmixer.audio.dumpset import RATE, DumpSet
from svmixer.config import from_dict, parse_args
from svmixer.inference.utterance import WINDOWS_AT_ONCE, embed_utterance, embed_utterances, source_windows
from svmixer.inference.windows import utterance_starts
from svmixer.lists import write_table
from svmixer.models.speaker_model import SpeakerModel
from svmixer.scoring.utterances import dump_source, extract

# What is taken without a model directory: the default recipe's.
SYSTEM = "svmixer_tiny+statistics"


@dataclass(frozen=True)
class Options:
    """Options of the benchmark."""

    # Model directory; empty: the default recipe's with random weights.
    model: str = ""
    # Dumped set to embed; empty makes one of noise.
    data_dir: str = ""
    # Utterances of it that are embedded.
    utterances: int = 2000
    # How utterances are cut into windows.
    protocol: Literal["crops", "whole", "stream"] = "whole"
    # Windows of the crops protocol.
    num_crops: int = 10
    # Pieces that the list is timed in.
    rounds: int = 10
    # Numbers of threads.
    threads: tuple[int, ...] = (1, 2)
    # true: a dozen utterances, two rounds.
    quick: bool = False
    # Folder for the results.
    output: str = "exp/benchmark"


def write_noise(folder: Path, utterances: int) -> str:
    """A dump of noise in one archive."""
    rng = np.random.default_rng(0)
    seconds = 4 + np.minimum(rng.lognormal(np.log(2.6), 0.99, utterances), 140)
    sources, lengths = {}, {}
    noise = (3000 * rng.standard_normal(200 * RATE)).astype(np.int16)
    with open(folder / "wav.ark", "wb") as stream:
        for number, length in enumerate((seconds * RATE).astype(int)):
            name = f"utt{number:06d}"
            sources[name] = f"{folder}/wav.ark:{stream.tell() + len(name) + 1}"
            lengths[name] = str(length)
            start = int(rng.integers(len(noise) - length))
            kaldiio.save_ark(stream, {name: (RATE, noise[start : start + length])})
    write_table(folder / "wav.scp", sources)
    write_table(folder / "utt2num_samples", lengths)
    return str(folder)


def windows_of(dump: DumpSet, indices: range, window: int, options: Options) -> np.ndarray:
    """All windows ``(W, window)`` of some utterances."""
    rows = []
    for index in indices:
        source = dump_source(dump, index)
        starts = utterance_starts(source.num_samples, window, options.protocol, options.num_crops)
        rows += source_windows(source, starts, window)
    return np.stack(rows)


class Clock:
    """A model whose time and windows are counted."""

    def __init__(self, embed_windows: Callable[[np.ndarray], np.ndarray]) -> None:
        self.embed_windows, self.seconds, self.windows = embed_windows, 0.0, 0

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        began = time.perf_counter()
        embeddings = self.embed_windows(windows)
        self.seconds += time.perf_counter() - began
        self.windows += len(windows)
        return embeddings


def measured(data: str, options: dict[str, Any]) -> dict[str, Any]:
    """:func:`measure` with this process's number of threads; ``options`` as of :class:`Options`."""
    settings = from_dict(Options, options)
    threads()
    return measure(open_model(settings.model, SYSTEM), DumpSet(data), settings)


def measure(model: SpeakerModel, dump: DumpSet, options: Options) -> dict[str, Any]:
    """``figures``: name of each → (value, decimals); ``rounds``: seconds of each by system."""
    total, window = min(options.utterances, len(dump)), model.window
    bounds = np.linspace(0, total, options.rounds + 1).astype(int)
    pieces = [range(*ends) for ends in pairwise(bounds)]
    clock, plain = Clock(model.embed_windows), model.embed_windows
    position = {"piece": -1}
    held: dict[str, np.ndarray] = {}
    embed = partial(
        embed_utterances, clock, window=window, protocol=options.protocol, num_crops=options.num_crops
    )

    def extraction() -> None:
        list(extract(embed, dump, pieces[position["piece"]]))

    def compute() -> None:
        for first in range(0, len(held["windows"]), WINDOWS_AT_ONCE):
            plain(held["windows"][first : first + WINDOWS_AT_ONCE])

    def one_by_one() -> None:
        for index in pieces[position["piece"]]:
            wave = dump.read(index)
            embed_utterance(plain, wave, window, options.protocol, options.num_crops)

    plain(windows_of(dump, range(1), window, options))  # warm-up
    timings, needed = [], 0
    for piece, indices in enumerate(pieces):
        position["piece"], held["windows"] = piece, windows_of(dump, indices, window, options)
        needed += len(held["windows"])
        systems = {"extraction": extraction, "compute": compute, "one": one_by_one}
        timings.append({name: t.median for name, t in paired(systems, 1, warm_up=0).items()})
    seconds = {name: sum(timing[name] for timing in timings) for name in timings[0]}
    ratios = {
        name: float(np.median([timing["compute"] / timing[name] for timing in timings])) for name in seconds
    }
    samples = int(dump.num_samples[:total].sum())
    computed = clock.windows * window
    figures = {
        "utterances": (total, 0),
        "hours of audio": (samples / RATE / 3600, 2),
        "windows": (needed, 0),
        "padding, % of the rows computed": (100 * (1 - needed / clock.windows), 1),
        "samples computed for each sample of audio": (computed / samples, 2),
        "utterances a second, extraction": (total / seconds["extraction"], 1),
        "utterances a second, compute-bound": (total / seconds["compute"], 1),
        "utterances a second, one after the other": (total / seconds["one"], 1),
        "extraction, share of compute-bound": (ratios["extraction"], 3),
        "one after the other, share of compute-bound": (ratios["one"], 3),
        "time in the model, share of the extraction": (clock.seconds / seconds["extraction"], 3),
        "time for data, share of the extraction": (1 - clock.seconds / seconds["extraction"], 3),
        "times real time": (samples / RATE / seconds["extraction"], 0),
    }  # fmt: skip
    return {"figures": figures, "rounds": timings}


def result(by_threads: dict[int, dict[str, Any]], options: Options) -> Result:
    """The table, a column a number of threads."""
    columns = [found["figures"] for found in by_threads.values()]
    rows = []
    for name, (_, digits) in columns[0].items():
        rows.append([name, *(f"{column[name][0]:,.{digits}f}" for column in columns)])
    header = ["figure", *(f"{number} thread{'s' * (number > 1)}" for number in by_threads)]
    figures = {
        str(number): {**found, "figures": {name: value for name, (value, _) in found["figures"].items()}}
        for number, found in by_threads.items()
    }
    audio = "a dumped set" if options.data_dir else "noise"
    return Result(
        "extraction", f"Extraction of a list, protocol {options.protocol}", command_line(), header, rows,
        "l" + "r" * len(by_threads), {"threads": figures},
        [
            f"{described(options.model, SYSTEM)}, on {audio}. Compute-bound: the same windows in full "
            "batches that lie in memory; shares of it are medians of the rounds."
        ],
    )  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    options = parse_args(Options, argv, __doc__)
    if options.quick:
        options = replace(options, utterances=12, rounds=2)
    with tempfile.TemporaryDirectory() as folder:
        data = options.data_dir or write_noise(Path(folder), options.utterances)
        found = {
            number: apart(measured, number, data=data, options=asdict(options)) for number in options.threads
        }
    print(write_result(result(found, options), options.output))


if __name__ == "__main__":
    main()
