"""How fast training data are read: utterances a second by data workers, and the share of a step that waits.

Generated noise is dumped by stage 2's own code, then read as training reads it: alone, and between the steps
of the default recipe's speaker training (``svmixer_tiny``, its teacher, AdamW).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
from apart import apart, threads
from measure import Result, Timing, command_line, write_result
from systems import build_system

from svmixer.audio.dump import DumpConfig, dump_job
from svmixer.audio.dumpset import RATE
from svmixer.audio.merge import MergeConfig, merge_jobs
from svmixer.config import parse_args
from svmixer.lists import write_table

if TYPE_CHECKING:
    import torch

    from svmixer.training.data import TrainSet

Batches = Iterator[dict[str, "torch.Tensor"]]


@dataclass(frozen=True)
class LoadingConfig:
    """Options of the script."""

    # Utterances of the generated set, 8 s each.
    utterances: int = 400
    # Its speakers.
    speakers: int = 40
    # Numbers of data workers; 0 loads in the training process.
    workers: tuple[int, ...] = (0, 1, 2)
    # Utterances of a batch.
    batch: int = 32
    # Probability that an augmented crop goes through a channel, too (augment.channel.prob).
    channel_prob: float = 0.0
    # Batches of a round.
    batches: int = 10
    # Rounds that are counted.
    rounds: int = 3
    # Threads of the training process.
    threads: tuple[int, ...] = (1, 2)
    # true: few utterances, batches of two.
    quick: bool = False
    # Folder for the results.
    output: str = "exp/benchmark"


def write_dump(folder: Path, utterances: int, speakers: int) -> Path:
    """A dumped set of noise."""
    rng = np.random.default_rng(0)
    data, dump = folder / "data", folder / "dump"
    data.mkdir()
    names = [f"s{number % speakers:03d}-{number:05d}" for number in range(utterances)]
    for name in names:
        wave = 0.1 * rng.standard_normal(8 * RATE)
        soundfile.write(data / f"{name}.wav", wave, RATE, subtype="PCM_16")
    write_table(data / "wav.scp", {name: str(data / f"{name}.wav") for name in sorted(names)})
    write_table(data / "utt2spk", {name: name[:4] for name in sorted(names)})
    dump_job(DumpConfig(str(data), str(dump)))
    merge_jobs(MergeConfig(str(data), str(dump)))
    return dump


def train_set(dump: str, augmented: bool, channel_prob: float = 0.0) -> TrainSet:
    """The training set in three speeds, as it is or with the augmentations that need no further lists."""
    from svmixer.audio.augment import AugmentConfig, Augmenter, SourceConfig
    from svmixer.audio.augment_config import ChannelConfig
    from svmixer.audio.dumpset import DumpSet
    from svmixer.training.config import DataConfig
    from svmixer.training.data import TrainSet

    utterances = DumpSet(dump)
    sources = tuple(SourceConfig(kind) for kind in ("babble", "coloured", "clip"))
    channel = ChannelConfig(prob=channel_prob)
    config = AugmentConfig(prob=0.8, sources=sources, channel=channel, band_prob=0.3, level_prob=0.3)
    augmenter = Augmenter(config, babble=utterances) if augmented else None
    speeds = (0.9, 1.0, 1.1) if augmented else (1.0,)
    return TrainSet(utterances, DataConfig(train=dump, speeds=speeds), augmenter, 3 * RATE, seed=0)


def open_loader(items: TrainSet, workers: int, batch: int, batches: int) -> Batches:
    """Batches as :class:`svmixer.training.loop.Loop` has them."""
    import torch
    from torch.utils.data import DataLoader

    from svmixer.training.data import BatchPlan

    plan = BatchPlan(items.labels, 0, 0.0, batch, 1, 0, 1).batches(0, batches)
    generator = torch.Generator().manual_seed(0)
    return iter(DataLoader(items, batch_sampler=plan, num_workers=workers, generator=generator))


def alone(
    dump: str, augmented: bool, channel_prob: float, workers: int, batch: int, batches: int, rounds: int
) -> list[float]:
    """Seconds that each round's batches take, the first one, for which workers start, left out."""
    threads()
    items, seconds = train_set(dump, augmented, channel_prob), []
    for _ in range(rounds):
        loader = open_loader(items, workers, batch, batches + 1)
        next(loader)
        began = time.perf_counter()
        for _ in loader:
            pass
        seconds.append(time.perf_counter() - began)
    return seconds


def training(
    dump: str, augmented: bool, channel_prob: float, workers: int, batch: int, batches: int
) -> dict[str, list[float]]:
    """Seconds of each step that went into waiting for data, and into computing; the first two left out."""
    import torch

    from svmixer.losses.aam import AAMConfig
    from svmixer.losses.distillation import DistillConfig
    from svmixer.teachers.teacher import load_teacher
    from svmixer.training.speaker import SpeakerObjective

    threads()
    items, teacher = train_set(dump, augmented, channel_prob), load_teacher("wavlm_tiny")
    model = build_system("svmixer_tiny+statistics").train()
    distill = DistillConfig(kind="distilhubert", layers=(2, 4))
    objective = SpeakerObjective(model, AAMConfig(), items.counts().tolist(), distill, teacher.config.hidden)
    optimizer = torch.optim.AdamW(objective.parameters(), lr=1e-4)
    loader = open_loader(items, workers, batch, batches + 2)
    waited, computed = [], []
    for _ in range(batches + 2):
        began = time.perf_counter()
        item = next(loader)
        arrived = time.perf_counter()
        item["teacher"] = teacher.hidden_states(item["clean"], True, distill.layers)
        loss, _ = objective(item)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        waited.append(arrived - began)
        computed.append(time.perf_counter() - arrived)
    return {"waited": waited[2:], "computed": computed[2:]}


def measure(config: LoadingConfig) -> list[dict[str, Any]]:
    """Everything for each combination of threads, augmentation and workers."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        dump = str(write_dump(Path(folder), config.utterances, config.speakers))
        for number in config.threads:
            for augmented in (False, True):
                for workers in config.workers:
                    case = {"augmented": augmented, "channel_prob": config.channel_prob, "workers": workers}
                    shared = {"dump": dump, **case, "batch": config.batch, "batches": config.batches}
                    read = apart(alone, number, **shared, rounds=config.rounds)
                    steps = apart(training, number, **shared)
                    found.append({"threads": number, **case, "read": read, **steps})
    return found


def result(found: list[dict[str, Any]], config: LoadingConfig) -> Result:
    """The table."""
    rows, figures = [], []
    for item in found:
        read = Timing(tuple(item["read"]))
        rate = config.batch * config.batches / read.median
        waited, computed = sum(item["waited"]), sum(item["computed"])
        share = waited / (waited + computed)
        step = 1000 * (waited + computed) / len(item["waited"])
        waiting = 1000 * waited / len(item["waited"])
        figures.append({**item, "utterances_per_second": rate, "data_share": share})
        rows.append(
            [
                item["threads"], "yes" if item["augmented"] else "no", item["workers"], f"{rate:.0f}",
                f"{step:.0f}", f"{waiting:.1f}", f"{share:.1%}",
            ]
        )  # fmt: skip
    header = ["threads", "augmented", "workers", "utterances/s", "ms a step", "ms waiting", "waiting"]
    notes = [
        f"Crops of 3 s in batches of {config.batch}, from an archive in the page cache. Utterances/s: "
        "reading alone. Step: speaker training of svmixer_tiny with the teacher wavlm_tiny, mean; "
        "waiting: until the batch is there. Augmented: speeds 0.9 and 1.1, babble, coloured noise, "
        "clipping, band and level"
        + (f", and {config.channel_prob:.0%} of the crops through a channel." if config.channel_prob else ".")
    ]
    return Result(
        "loading", "Data loading", command_line(), header, rows, "rlrrrrr",
        {"batch": config.batch, "batches": config.batches, "cases": figures}, notes,
    )  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    config = parse_args(LoadingConfig, argv, __doc__)
    if config.quick:
        config = replace(config, utterances=24, speakers=4, workers=(0, 1), batch=2, batches=2, rounds=2)
    print(write_result(result(measure(config), config), config.output))


if __name__ == "__main__":
    main()
