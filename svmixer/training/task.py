"""What the training loop asks of a kind of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from torch.utils.data import Dataset


class Task(Protocol):
    """What a kind of training brings to the loop."""

    # Everything that is trained; forward(batch) -> (loss, {name: detached scalar}). Beside what prepare()
    # gives, a training batch has `epochs`: how many have passed, with a fraction.
    module: torch.nn.Module
    metric: str  # key of validate()'s result that selects models, lower is better

    def dataset(self) -> Dataset: ...  # items addressed as (epoch, index)
    def speakers(self) -> Any: ...  # speaker number of every item, (items,)
    def balance(self) -> float: ...  # see sampler.epoch_order
    def setup(self, fabric: Fabric) -> None: ...  # moves the teacher, which is not in `module`
    def prepare(
        self, batch: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]: ...  # adds the teacher's states
    def validate(
        self, fabric: Fabric, module: torch.nn.Module
    ) -> dict[str, float]: ...  # same result on every rank
    def finish(self, state: dict[str, torch.Tensor], output_dir: Path) -> None: ...  # writes the final model
