"""The metrics of a training: means over an epoch's steps, a JSON line an epoch, and TensorBoard."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch

from svmixer.distributed.device import Fabric
from svmixer.errors import SvmixerError
from svmixer.fileio import atomic_write
from svmixer.log import get_logger

logger = get_logger(__name__)


class StepMetrics:
    """Metrics of an epoch's optimiser steps; they stay on the device until fetched, which waits for a GPU.

    Args:
        fabric: whose processes the means are over.
        accumulate: batches of a step.

    Attributes:
        sums: name → sum over the steps fetched so far.
    """

    def __init__(self, fabric: Fabric, accumulate: int) -> None:
        self._fabric, self._accumulate = fabric, accumulate
        self.sums: dict[str, float] = {}
        # A row for every batch, in the order of the names.
        self._pending: list[torch.Tensor] = []
        self._names: list[str] = []

    def add(self, loss: torch.Tensor, metrics: dict[str, torch.Tensor]) -> None:
        """Take in one batch of this process: scalars."""
        names = sorted(metrics)
        self._names = ["loss", *names]
        self._pending.append(torch.stack([loss.detach().float(), *(metrics[name].float() for name in names)]))

    def fetch(self, epoch: int, step: int) -> dict[str, float]:
        """Add the metrics of the steps since the last call, means of all processes, to the sums.

        Nothing is saved before this has looked at them.

        Args:
            epoch, step: the last step taken, both from 1, the step within the epoch.

        Returns:
            The last step's metrics; empty if there was none since the last call.

        Raises:
            SvmixerError: a metric is not finite.
        """
        metrics: dict[str, float] = {}
        if not self._pending:
            return metrics
        rows = self._fabric.all_reduce(torch.stack(self._pending), reduce_op="mean").double()
        self._pending = []
        steps = rows.view(-1, self._accumulate, rows.shape[1]).mean(dim=1).tolist()
        for number, values in enumerate(steps, step - len(steps) + 1):
            metrics = dict(zip(self._names, values, strict=True))
            if not all(map(math.isfinite, values)):
                bad = ", ".join(f"{name} {x:g}" for name, x in metrics.items() if not math.isfinite(x))
                raise SvmixerError(
                    f"not finite at epoch {epoch}, step {number}: {bad}; lower loop.lr, or train with "
                    "loop.precision 32-true; the last checkpoint is from before it"
                )
            for name, value in metrics.items():
                self.sums[name] = self.sums.get(name, 0.0) + value
        return metrics


class MetricsLog:
    """``log.jsonl`` and TensorBoard; after a resume, lines of steps that will be done again are dropped."""

    def __init__(self, folder: Path, total_steps: int, write: bool) -> None:
        self.path, self.write = folder / "log.jsonl", write
        if not write:
            return
        from torch.utils.tensorboard import SummaryWriter

        kept = []
        if self.path.exists():
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
            # A killed run may have left half a line.
            epochs = [json.loads(line) for line in lines if line.endswith("\n")]
            kept = [epoch for epoch in epochs if epoch["step"] <= total_steps]
        with atomic_write(self.path) as stream:
            stream.writelines(json.dumps(epoch) + "\n" for epoch in kept)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=total_steps)

    def add(self, total_steps: int, metrics: dict[str, float]) -> None:
        """Append the line of an epoch; ``metrics`` has its number, too."""
        if not self.write:
            return
        with open(self.path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": total_steps, **metrics}) + "\n")
        for name, value in metrics.items():
            self._board.add_scalar(name, value, total_steps)
        self._board.flush()
        values = " ".join(f"{name} {value:.4g}" for name, value in metrics.items() if name != "epoch")
        logger.info("epoch %d done: %s", metrics["epoch"], values)
