"""Batch normalisation in trainings with several processes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from svmixer.distributed.device import Fabric
from svmixer.log import get_logger
from svmixer.models.layers import FrameBatchNorm

logger = get_logger(__name__)


class FrameSyncBatchNorm(nn.SyncBatchNorm):
    """:class:`svmixer.models.layers.FrameBatchNorm` with the statistics of all processes."""

    def forward(self, x: Tensor) -> Tensor:
        """``(…, C)`` → ``(…, C)``; statistics over everything but the channels."""
        return super().forward(x.flatten(0, -2)).view_as(x)


def synchronise(module: nn.Module, fabric: Fabric) -> nn.Module:
    """Have batch normalisation take its statistics over the rows of all processes, where the device allows.

    PyTorch's synchronised form runs on GPUs only. On CPUs the statistics stay those of each process's own
    rows, which is said once.

    Args:
        module: what is trained; its parts are replaced, its parameters and buffers stay the same tensors.
        fabric: where it will run.

    Returns:
        ``module``, or its replacement if it is a batch normalisation itself.
    """
    if fabric.world_size == 1 or not any(isinstance(part, _BatchNorm) for part in module.modules()):
        return module
    if fabric.device.type == "cuda":
        return _replace(module)
    if fabric.global_rank == 0:
        logger.warning("batch normalisation: on CPUs every process takes the statistics of its own rows")
    return module


def _replace(module: nn.Module) -> nn.Module:
    if isinstance(module, FrameBatchNorm):
        frames = FrameSyncBatchNorm(module.num_features, module.eps, module.momentum)
        frames.weight, frames.bias = module.weight, module.bias
        frames.running_mean, frames.running_var = module.running_mean, module.running_var
        frames.num_batches_tracked = module.num_batches_tracked
        return frames.train(module.training)
    if isinstance(module, _BatchNorm):
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    for name, part in module.named_children():
        module.add_module(name, _replace(part))
    return module


def share_statistics(module: nn.Module, fabric: Fabric) -> None:
    """Give all processes the running statistics of the first one, which are the ones that are saved."""
    if fabric.world_size > 1:
        for buffer in module.buffers():
            torch.distributed.broadcast(buffer, 0)
