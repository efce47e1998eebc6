"""Milliseconds per 3 s crop for every kind of augmentation and for speed perturbation, on one core.

``python benchmarks/augment.py [repetitions]`` works on lists of generated noise in a temporary directory. The
median is what training sees; the shortest time is what the code costs on an idle machine.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from svmixer.audio.augment import AugmentConfig, Augmenter, SourceConfig
from svmixer.audio.dumpset import RATE
from svmixer.audio.speed import source_samples, speed_perturb
from svmixer.lists import write_table

CROP = 3 * RATE
UTTERANCES = 200


def write_lists(folder: Path, rng: np.random.Generator) -> tuple[str, str]:
    """A dump of 8 s utterances of 20 speakers, and a list of 1 s room impulse responses."""
    dump, rirs = folder / "dump", folder / "rirs"
    dump.mkdir()
    rirs.mkdir()
    names = [f"utt{number:03d}" for number in range(UTTERANCES)]
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


def time_ms(call: Callable[[], object], repetitions: int) -> tuple[float, float]:
    """Median and shortest time of one call, after a few to warm up."""
    times = []
    for number in range(repetitions + 10):
        start = time.perf_counter()
        call()
        if number >= 10:
            times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times), min(times)


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    rng = np.random.default_rng(0)
    wave = (0.1 * rng.standard_normal(CROP)).astype(np.float32)
    with tempfile.TemporaryDirectory() as name:
        dump, rirs = write_lists(Path(name), rng)
        paths = {"rir": rirs, "babble": dump, "music": dump, "noise": dump, "coloured": "", "clip": ""}
        calls: dict[str, Callable[[], object]] = {}
        for kind, path in paths.items():
            augmenter = Augmenter(AugmentConfig(prob=1.0, sources=(SourceConfig(kind, path=path),)))
            calls[kind] = lambda a=augmenter: a(wave, rng, "speaker3")
        for kind in ("band", "level"):
            augmenter = Augmenter(AugmentConfig(prob=0.0, **{f"{kind}_prob": 1.0}))
            calls[kind] = lambda a=augmenter: a(wave, rng)
        long = np.resize(wave, source_samples(CROP, 1.1))
        for factor in (0.9, 1.1):
            calls[f"speed {factor}"] = lambda f=factor: speed_perturb(lambda s, n: long[s:][:n], 0, CROP, f)
        print(f"{'ms per crop':12} median    best")
        for kind, call in calls.items():
            median, best = time_ms(call, repetitions)
            print(f"{kind:12} {median:6.2f} {best:7.2f}")


if __name__ == "__main__":
    main()
