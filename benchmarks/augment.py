"""Milliseconds per 3 s crop for every kind of augmentation, channel and for speed perturbation, on one core.

Works on lists of generated noise in a temporary directory, as training reads them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from apart import apart
from measure import Result, Timing, command_line, paired, write_result

from svmixer.audio.augment import AugmentConfig, Augmenter, SourceConfig
from svmixer.audio.augment_config import CHANNELS, ChannelConfig
from svmixer.audio.channels import prepare, through_channel
from svmixer.audio.dumpset import RATE
from svmixer.audio.resample import source_samples, speed_perturb
from svmixer.config import parse_args
from svmixer.lists import write_table

CROP = 3 * RATE


@dataclass(frozen=True)
class BenchmarkConfig:
    """Options of the script."""

    # Calls of each kind that are counted.
    repetitions: int = 300
    # true: ten calls.
    quick: bool = False
    # Folder for the results.
    output: str = "exp/benchmark"


def write_lists(folder: Path, rng: np.random.Generator, utterances: int = 200) -> tuple[str, str]:
    """A dump of 8 s utterances, ten a speaker, and a list of as many 1 s room impulse responses."""
    dump, rirs = folder / "dump", folder / "rirs"
    dump.mkdir()
    rirs.mkdir()
    names = [f"utt{number:03d}" for number in range(utterances)]
    for name in names:
        soundfile.write(dump / f"{name}.wav", 0.1 * rng.standard_normal(8 * RATE), RATE, subtype="PCM_16")
        decay = np.exp(-np.arange(RATE) / 2000) * rng.standard_normal(RATE)
        decay[:80], decay[80] = 0.0, 4.0
        soundfile.write(rirs / f"{name}.wav", 0.2 * decay, RATE, subtype="PCM_16")
    write_table(dump / "wav.scp", {name: str(dump / f"{name}.wav") for name in names})
    write_table(dump / "utt2num_samples", {name: str(8 * RATE) for name in names})
    write_table(dump / "utt2spk", {name: f"speaker{int(name[3:]) // 10}" for name in names})
    write_table(rirs / "wav.scp", {name: str(rirs / f"{name}.wav") for name in names})
    return str(dump), str(rirs)


def augmentations(dump: str, rirs: str, rng: np.random.Generator) -> dict[str, Callable[[], object]]:
    """One call a kind, on a crop of noise."""
    wave = (0.1 * rng.standard_normal(CROP)).astype(np.float32)
    paths = {"rir": rirs, "babble": dump, "music": dump, "noise": dump, "coloured": "", "clip": ""}
    calls: dict[str, Callable[[], object]] = {}
    for kind, path in paths.items():
        augmenter = Augmenter(AugmentConfig(prob=1.0, sources=(SourceConfig(kind, path=path),)))
        calls[kind] = lambda a=augmenter: a(wave, rng, "speaker3")
    for kind in ("eq", "codec", "band", "level"):
        augmenter = Augmenter(AugmentConfig(prob=0.0, **{f"{kind}_prob": 1.0}))
        calls[kind] = lambda a=augmenter: a(wave, rng)
    for family in CHANNELS:
        prepare(family)
        calls[f"channel {family}"] = lambda f=family: through_channel(wave, f, ChannelConfig(), rng)
    long = np.resize(wave, source_samples(CROP, 1.1))
    for factor in (0.9, 1.1):
        calls[f"speed {factor}"] = lambda f=factor: speed_perturb(lambda s, n: long[s:][:n], 0, CROP, f)
    return calls


def times(repetitions: int) -> dict[str, list[float]]:
    """Seconds of every call, kind by kind; they take turns, after some rounds to warm up."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        timings = paired(augmentations(*write_lists(Path(name), rng), rng), repetitions, warm_up=10)
    return {kind: list(timing.seconds) for kind, timing in timings.items()}


def result(seconds: dict[str, list[float]]) -> Result:
    """The table."""
    rows = [
        [kind, Timing(tuple(taken)).milliseconds(), f"{1000 * min(taken):.1f}"]
        for kind, taken in seconds.items()
    ]
    notes = ["The median is what training sees, the shortest time what the code costs. One thread."]
    return Result(
        "augment", "Augmentation of a 3 s crop", command_line(),
        ["kind", "ms", "shortest"], rows, "lrr", {"seconds": seconds}, notes,
    )  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    config = parse_args(BenchmarkConfig, argv, __doc__)
    if config.quick:
        config = replace(config, repetitions=10)
    print(write_result(result(apart(times, 1, repetitions=config.repetitions)), config.output))


if __name__ == "__main__":
    main()
