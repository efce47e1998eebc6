"""The n best epochs on disk, and their average."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from svmixer.models.io import save_tensors


class BestModels:
    """Keeps the weights of the ``keep`` epochs with the lowest metric in ``folder``."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self.entries: list[tuple[float, int]] = []
        self._saved: list[set[int]] = []

    def offer(self, epoch: int, metric: float, state: dict[str, torch.Tensor]) -> bool:
        """Keep ``epoch`` if it is among the best (of two equal ones the earlier); True if it was kept."""
        entries = sorted([*self.entries, (metric, epoch)])
        if (metric, epoch) not in entries[: self.keep]:
            return False
        save_tensors(state, self._path(epoch))
        self.entries = entries[: self.keep]
        return True

    def average(self) -> dict[str, torch.Tensor]:
        """Mean of the kept weights; integers (counters of batch normalisation) come from the best epoch."""
        states = [load_file(self._path(epoch)) for _, epoch in self.entries]
        mean = {}
        for name, first in states[0].items():
            if first.is_floating_point():
                mean[name] = torch.stack([state[name].double() for state in states]).mean(0).to(first.dtype)
            else:
                mean[name] = first
        return mean

    def state_dict(self) -> list[list[float]]:
        """What a checkpoint must hold."""
        return [[metric, epoch] for metric, epoch in self.entries]

    def load_state_dict(self, state: list[list[float]]) -> None:
        """Continue from :meth:`state_dict`."""
        self.entries = [(float(metric), int(epoch)) for metric, epoch in state]

    def checkpoint_written(self) -> None:
        """Remove the files that neither the newest checkpoint nor the one before it names."""
        self._saved = [*self._saved[-1:], {epoch for _, epoch in self.entries}]
        if len(self._saved) < 2:
            return
        kept = {self._path(epoch) for epochs in self._saved for epoch in epochs}
        for path in self.folder.glob("epoch_*.safetensors"):
            if path not in kept:
                path.unlink()

    def _path(self, epoch: int) -> Path:
        return self.folder / f"epoch_{epoch:03d}.safetensors"
