"""Which items make up which batch: a function of (seed, epoch, rank), so resuming needs no sampler state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


def epoch_order(speakers: np.ndarray, seed: int, epoch: int, balance: float = 0.0) -> np.ndarray:
    """Item indices of one epoch, every speaker's items spread evenly over it.

    A plain permutation clusters speakers by chance; here each speaker's items take stratified random
    positions, so a batch holds as many different speakers as the counts allow.

    Args:
        speakers: speaker number of every item, (items,).
        seed, epoch: what the order depends on.
        balance: 0 takes every item once; 1 takes every speaker equally often (items of small speakers
            repeat, those of large ones rotate from epoch to epoch); between, a speaker with n items takes a
            share proportional to n^(1 − balance).

    Returns:
        (items,) indices into ``speakers`` (about as many if ``balance`` > 0).
    """
    rng = np.random.default_rng([seed, epoch])
    numbers, counts = np.unique(speakers, return_counts=True)
    share = counts.astype(np.float64) ** (1.0 - balance)
    take = np.maximum(1, np.round(share / share.sum() * len(speakers))).astype(np.int64)
    by_speaker = np.argsort(speakers, kind="stable")
    starts = np.cumsum(counts) - counts
    order, position = [], []
    for number in range(len(numbers)):
        items = by_speaker[starts[number] : starts[number] + counts[number]]
        rounds = -(-take[number] // counts[number])
        drawn = np.concatenate([rng.permutation(items) for _ in range(rounds)])[: take[number]]
        order.append(drawn)
        position.append((np.arange(take[number]) + rng.random(take[number])) / take[number])
    return np.concatenate(order)[np.argsort(np.concatenate(position), kind="stable")]


def epoch_batches(
    order: np.ndarray, batch_size: int, accumulate: int, rank: int, world: int, epoch: int, skip: int = 0
) -> list[list[tuple[int, int]]]:
    """Batches of (epoch, item) for one rank.

    Only whole optimiser steps are kept (``world`` × ``accumulate`` batches of ``batch_size``), so that no
    leftover gradient crosses an epoch's end and all ranks take the same number of steps. A global batch does
    not depend on ``world``: the ranks share out the same items.

    Args:
        skip: optimiser steps of this epoch that are done already.
    """
    step = batch_size * world * accumulate
    batches = []
    for start in range(skip * step, len(order) - step + 1, step):
        for part in range(accumulate):
            first = start + part * batch_size * world
            chunk = order[first : first + batch_size * world][rank::world]
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

    @property
    def utterances_per_step(self) -> int:
        """Items of one optimiser step, over all ranks."""
        return self.batch_size * self.accumulate * self.world

    @cached_property
    def steps(self) -> int:
        """Optimiser steps of one pass; every pass has as many as the first."""
        order = epoch_order(self.speakers, self.seed, 1, self.balance)
        return steps_per_epoch(len(order), self.batch_size, self.accumulate, self.world)

    def batches(self, first: int, last: int) -> list[list[tuple[int, int]]]:
        """Batches of optimiser steps ``first`` … ``last`` − 1, counted from 0 over all passes.

        A step's items depend on its number alone, not on where a stretch begins. They carry the number of
        their pass, from 1, so that each pass cuts other crops.
        """
        batches: list[list[tuple[int, int]]] = []
        while first < last:
            done, skip = divmod(first, self.steps)
            order = epoch_order(self.speakers, self.seed, done + 1, self.balance)
            part = epoch_batches(
                order, self.batch_size, self.accumulate, self.rank, self.world, done + 1, skip
            )
            taken = min(last - first, self.steps - skip)
            batches += part[: taken * self.accumulate]
            first += taken
        return batches
