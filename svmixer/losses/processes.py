"""Weighted means over the rows of all processes of a training."""

from __future__ import annotations

import torch
from torch import Tensor


def process_share(weight: Tensor) -> Tensor | float:
    """What a weighted mean over this process's rows has to be multiplied by, ``()``; 1 in a single process.

    Parallel training averages the gradients of all processes, each counting alike. With this factor, the
    average is the gradient of the weighted mean over the rows of all.

    Args:
        weight: ``()``, sum of the weights of this process's rows. All processes call this equally often.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 1.0
    total = weight.detach().clone()
    torch.distributed.all_reduce(total)
    return weight * torch.distributed.get_world_size() / total
