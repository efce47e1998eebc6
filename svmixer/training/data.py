"""Training items, and which of them make up which batch."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch.utils.data import Dataset

from svmixer.audio.augment import Augmenter
from svmixer.audio.dumpset import GRID, DumpSet
from svmixer.audio.resample import name_at_speed, speed_perturb
from svmixer.distributed.signals import STOP_SIGNALS
from svmixer.errors import SvmixerError
from svmixer.training.config import DataConfig
from svmixer.training.embedding_targets import EmbeddingTargets


class TrainSet(Dataset):
    """Items (epoch, index) → ``clean`` (N,), ``noisy`` (N,), ``label``.

    Item ``index`` is utterance ``index mod utterances`` at speed ``index div utterances``. What is random in
    it depends on (seed, epoch, index) alone, so workers, ranks and resumed runs agree. The augmented crop
    starts where the clean one does. With ``crops_per_utterance`` the clean crop depends on (seed, epoch mod
    crops_per_utterance, index); with ``teacher_states``, ``teacher`` (K, T, D) stands in place of ``clean``.
    With ``embedding_targets`` there is ``embedding_target`` (E,) of the whole clean utterance, zeros where it
    has none.
    """

    # Vectors of another system, one an item; None: there are none.
    embedding_targets: EmbeddingTargets | None = None
    # (index, crop) → the teacher's states (K, T, D) of that fixed crop, once they are on disk.
    teacher_states: Callable[[int, int], torch.Tensor] | None = None

    def __init__(
        self, dump: DumpSet, config: DataConfig, augmenter: Augmenter | None, samples: int, seed: int
    ) -> None:
        if dump.speakers is None:
            raise SvmixerError(f"{config.train}: utt2spk is missing: speaker training needs it")
        self.dump, self.augmenter, self.samples, self.seed = dump, augmenter, samples, seed
        self.speeds, self.crops = config.speeds, config.crops_per_utterance
        names, numbers = np.unique(dump.speakers, return_inverse=True)
        self.names = [name_at_speed(name, speed) for speed in self.speeds for name in names]
        self.labels = np.concatenate([numbers + k * len(names) for k in range(len(self.speeds))]).astype(
            np.int64
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, torch.Tensor]:
        epoch, index = key
        rng = np.random.default_rng([self.seed, epoch, index])
        clean = self.clean(index, epoch % self.crops) if self.crops else self._crop(index, rng)
        noisy = clean
        if self.augmenter is not None:
            noisy = self.augmenter(clean, rng, speaker=self.dump.speakers[index % len(self.dump)])
        item = {"noisy": torch.from_numpy(noisy), "label": torch.tensor(self.labels[index])}
        if self.embedding_targets is not None:
            item["embedding_target"] = torch.from_numpy(self.embedding_targets[index])
        if self.teacher_states is not None:
            return {**item, "teacher": self.teacher_states(index, epoch % self.crops)}
        return {**item, "clean": torch.from_numpy(clean)}

    def clean(self, index: int, crop: int) -> np.ndarray:
        """Fixed crop ``crop`` of item ``index``, (N,)."""
        return self._crop(index, np.random.default_rng([self.seed, crop, index, 1]))

    def _crop(self, index: int, rng: np.random.Generator) -> np.ndarray:
        utterance, speed = index % len(self.dump), self.speeds[index // len(self.dump)]
        if speed == 1.0:
            return self.dump.read_crop(utterance, self.samples, rng)
        total, needed = int(self.dump.num_samples[utterance]), round(self.samples * speed)
        if total <= needed:
            whole = speed_perturb(
                lambda start, count: self.dump.read(utterance, start, count), 0, int(total / speed), speed
            )
            return np.tile(whole, -(-self.samples // len(whole)))[: self.samples]
        start = int(rng.integers((total - needed) // GRID + 1)) * GRID
        return speed_perturb(
            lambda first, count: self.dump.read(utterance, first, count), start, self.samples, speed
        )

    def counts(self) -> np.ndarray:
        """Items of each label, (labels,)."""
        return np.bincount(self.labels, minlength=len(self.names))


def ignore_signals(_worker: int) -> None:
    """What a data worker begins with. Schedulers and ``timeout`` signal the whole process group: the workers
    must outlive the save.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def epoch_order(
    speakers: np.ndarray, seed: int, epoch: int, balance: float = 0.0, sessions: np.ndarray | None = None
) -> np.ndarray:
    """Item indices of one epoch, every speaker's items spread evenly over it.

    A plain permutation clusters speakers by chance; here each speaker's items take stratified random
    positions, so a batch holds as many different speakers as the counts allow.

    Args:
        speakers: speaker number of every item, (items,).
        seed, epoch: what the order depends on.
        balance: 0 takes every item once; 1 takes every speaker equally often (items of small speakers
            repeat, those of large ones rotate from epoch to epoch); between, a speaker with n items takes a
            share proportional to n^(1 − balance).
        sessions: session number of every item, (items,): the order is then one of pairs, items 2 k and
            2 k + 1 being of one speaker and, as far as the speaker has several, of different sessions. Items
            that are left over stand at the end.

    Returns:
        (items,) indices into ``speakers`` (about as many if ``balance`` > 0).
    """
    rng = np.random.default_rng([seed, epoch])
    numbers, counts = np.unique(speakers, return_counts=True)
    share = counts.astype(np.float64) ** (1.0 - balance)
    take = np.maximum(1, np.round(share / share.sum() * len(speakers))).astype(np.int64)
    by_speaker = np.argsort(speakers, kind="stable")
    starts = np.cumsum(counts) - counts
    order, position, rest = [], [], []
    for number in range(len(numbers)):
        items = by_speaker[starts[number] : starts[number] + counts[number]]
        rounds = -(-take[number] // counts[number])
        drawn = np.concatenate([rng.permutation(items) for _ in range(rounds)])[: take[number]]
        if sessions is not None:
            pairs = _across_sessions(drawn, sessions)
            rest.append(pairs[len(pairs) // 2 * 2 :])
            drawn = pairs[: len(pairs) // 2 * 2].reshape(-1, 2)
        order.append(drawn)
        position.append((np.arange(len(drawn)) + rng.random(len(drawn))) / max(1, len(drawn)))
    spread = np.concatenate(order)[np.argsort(np.concatenate(position), kind="stable")]
    return np.concatenate([spread.ravel(), *rest])


def _across_sessions(drawn: np.ndarray, sessions: np.ndarray) -> np.ndarray:
    """A speaker's items such that neighbours 2 k and 2 k + 1 are of different sessions, unless most of the
    items are of one.
    """
    _, number, count = np.unique(sessions[drawn], return_inverse=True, return_counts=True)
    # By session, the largest first; an item's partner stands half the row away, which is another session
    # for every session that fills no more than half of it. Of an odd number the one in the middle is left.
    ranked = drawn[np.lexsort((np.arange(len(drawn)), number, -count[number]))]
    half = len(drawn) // 2
    paired = np.stack([ranked[:half], ranked[len(ranked) - half :]], axis=1).ravel()
    return np.concatenate([paired, ranked[half : len(ranked) - half]])


def epoch_batches(
    order: np.ndarray,
    batch_size: int,
    accumulate: int,
    rank: int,
    world: int,
    epoch: int,
    skip: int = 0,
    together: int = 1,
) -> list[list[tuple[int, int]]]:
    """Batches of (epoch, item) for one rank.

    Only whole optimiser steps are kept (``world`` × ``accumulate`` batches of ``batch_size``), so that no
    leftover gradient crosses an epoch's end and all ranks take the same number of steps. A global batch does
    not depend on ``world``: the ranks share out the same items.

    Args:
        skip: optimiser steps of this epoch that are done already.
        together: items in a row that stay on one rank; divides ``batch_size``.
    """
    step = batch_size * world * accumulate
    batches = []
    for start in range(skip * step, len(order) - step + 1, step):
        for part in range(accumulate):
            first = start + part * batch_size * world
            chunk = order[first : first + batch_size * world].reshape(-1, together)[rank::world].ravel()
            batches.append([(epoch, int(item)) for item in chunk])
    return batches


def steps_per_epoch(items: int, batch_size: int, accumulate: int, world: int) -> int:
    """Whole optimiser steps in one epoch of ``items``."""
    return items // (batch_size * world * accumulate)


@dataclass(frozen=True)
class BatchPlan:
    """The batches of one rank: an endless row of passes over the items, cut anywhere by optimiser steps."""

    # Speaker number of every item, (items,).
    speakers: np.ndarray
    # Seed of the order.
    seed: int
    # See epoch_order.
    balance: float
    # Items of one batch of one rank.
    batch_size: int
    # Batches of one rank in an optimiser step.
    accumulate: int
    # This process, and how many there are.
    rank: int
    world: int
    # Session number of every item, for batches of pairs: see epoch_order.
    sessions: np.ndarray | None = None

    @property
    def utterances_per_step(self) -> int:
        """Items of one optimiser step, over all ranks."""
        return self.batch_size * self.accumulate * self.world

    @cached_property
    def steps(self) -> int:
        """Optimiser steps of one pass; every pass has as many as the first."""
        order = epoch_order(self.speakers, self.seed, 1, self.balance, self.sessions)
        return steps_per_epoch(len(order), self.batch_size, self.accumulate, self.world)

    def batches(self, first: int, last: int) -> list[list[tuple[int, int]]]:
        """Batches of optimiser steps ``first`` … ``last`` − 1, counted from 0 over all passes.

        A step's items depend on its number alone, not on where a stretch begins. They carry the number of
        their pass, from 1, so that each pass cuts other crops.
        """
        batches: list[list[tuple[int, int]]] = []
        while first < last:
            done, skip = divmod(first, self.steps)
            order = epoch_order(self.speakers, self.seed, done + 1, self.balance, self.sessions)
            part = epoch_batches(
                order, self.batch_size, self.accumulate, self.rank, self.world, done + 1, skip,
                together=1 if self.sessions is None else 2,
            )  # fmt: skip
            taken = min(last - first, self.steps - skip)
            batches += part[: taken * self.accumulate]
            first += taken
        return batches
