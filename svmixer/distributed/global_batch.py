"""What makes a training with several processes compute what one process would with the same global batch.

Averaged gradients are not enough. Where a module draws random numbers, each row of the batch must draw the
same ones wherever it is computed; where it normalises by the batch, the batch must be everybody's. Both are
done by looking at the calls that modules make to torch, so they hold for any module, also those of ESPnet
and torchaudio, and modules need not know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

# In-place draws, and what draws like them into a new tensor.
_IN_PLACE = {Tensor.uniform_, Tensor.normal_, Tensor.bernoulli_}
_LIKE = {torch.rand_like: Tensor.uniform_, torch.randn_like: Tensor.normal_}


class GlobalBatch(TorchFunctionMode):
    """A context around one forward pass in training: this process's rows of a batch shared by all.

    Row i here is row i · world + rank of the global batch, as :func:`svmixer.training.sampler.epoch_batches`
    shares it out.

    - Dropout, attention dropout, ``rand_like``, ``randn_like``, ``uniform_``, ``normal_`` and ``bernoulli_``
      on tensors whose first dimension is the batch take the numbers of each row from a generator of (``key``,
      number of the draw in this pass, row of the global batch). Other draws (another first dimension) come
      from the global random state, as without this context.
    - Batch normalisation takes mean and variance over the rows of all processes, forwards and backwards, on
      any backend (torch's own synchronised one is for GPUs only).
    - Cross entropy divides by the weight of all processes' rows.

    Args:
        key: what the draws depend on, non-negative integers such as (seed, step).
        rows: rows of the batch in this process; every process has as many.
        rank: number of this process.
        world: number of processes.
    """

    def __init__(self, key: tuple[int, ...], rows: int, rank: int = 0, world: int = 1) -> None:
        super().__init__()
        self.key, self.rows, self.rank, self.world = key, rows, rank, world
        self.draws = 0

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replace the calls that depend on the batch."""
        kwargs = kwargs or {}
        if func is F.dropout:
            return self._dropout(*args, **kwargs)
        if func is F.scaled_dot_product_attention and kwargs.get("dropout_p", 0.0) > 0:
            return self._attention(*args, **kwargs)
        if func is F.batch_norm and self.world > 1:
            return _batch_norm(self.world, self.rank, *args, **kwargs)
        if func is F.cross_entropy and self.world > 1:
            return _cross_entropy(self.world, *args, **kwargs)
        if func in _IN_PLACE and self._is_batch(args[0]):
            return self._fill(args[0], func, *args[1:], **kwargs)
        if func in _LIKE and self._is_batch(args[0]):
            return self._fill(torch.empty_like(args[0], **kwargs), _LIKE[func])
        return func(*args, **kwargs)

    def _is_batch(self, x: Tensor) -> bool:
        return x.dim() > 0 and x.shape[0] == self.rows

    def _fill(self, x: Tensor, draw: Callable, *args: Any, **kwargs: Any) -> Tensor:
        # One seed a row of the global batch: a row's numbers must not depend on who computes it.
        rows = np.random.default_rng([*self.key, self.draws]).integers(1 << 32, size=self.rows * self.world)
        self.draws += 1
        generator = torch.Generator(x.device)
        for row, seed in zip(x.detach(), rows[self.rank :: self.world], strict=True):
            draw(row, *args, **{**kwargs, "generator": generator.manual_seed(int(seed))})
        return x

    def _dropout(self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p == 0.0 or not self._is_batch(input):
            return F.dropout(input, p, training, inplace)
        kept = self._fill(torch.empty_like(input), Tensor.bernoulli_, 1.0 - p).div_(max(1.0 - p, 1e-30))
        return input.mul_(kept) if inplace else input * kept

    def _attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
    ) -> Tensor:
        """Scaled dot-product attention written out, for its dropout draws inside."""
        if is_causal or not self._is_batch(query):
            options = {"is_causal": is_causal, "scale": scale}
            return F.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, **options)
        logits = query @ key.transpose(-2, -1) * (scale or query.shape[-1] ** -0.5)
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            logits = logits.masked_fill(~attn_mask, -torch.inf)
        elif attn_mask is not None:
            logits = logits + attn_mask
        return self._dropout(logits.softmax(dim=-1), dropout_p) @ value


class _AllReduce(torch.autograd.Function):
    """Sum over all processes whose gradient is the sum over all processes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone()
        torch.distributed.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        torch.distributed.all_reduce(gradient)
        return gradient


def _cross_entropy(
    world: int,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    ignore_index: int = -100,
    reduce: None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """``F.cross_entropy`` for class indices, whose mean of all processes' results is that of all rows.

    The processes' rows may weigh differently, or be of different number where frames are selected.
    """
    options = {"weight": weight, "ignore_index": ignore_index, "label_smoothing": label_smoothing}
    if reduction != "mean":
        return F.cross_entropy(input, target, reduction=reduction, **options)
    counted = target[target != ignore_index]
    total = (torch.ones_like(counted, dtype=input.dtype) if weight is None else weight[counted]).sum()
    torch.distributed.all_reduce(total)
    return F.cross_entropy(input, target, reduction="sum", **options) / (total / world)


def _batch_norm(
    world: int,
    rank: int,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``F.batch_norm`` of ``(B, C, …)`` with the statistics of the rows of all processes."""
    if not training:
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    x = input if input.dtype == torch.float64 else input.float()
    others = [0, *range(2, x.dim())]
    shape = [1, -1] + [1] * (x.dim() - 2)
    count = x.numel() // x.shape[1]
    # Everybody's means and variances, gathered by a sum: from these the whole batch's follow without the
    # cancellation of a mean of squares.
    own = torch.stack([x.mean(others), x.var(others, unbiased=False)])  # (2, C)
    means, variances = _AllReduce.apply(torch.stack([own * (r == rank) for r in range(world)])).unbind(1)
    mean = means.mean(0)
    variance = variances.mean(0) + (means - mean).square().mean(0)
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            total = count * world
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((variance * (total / (total - 1))).to(running_var.dtype), momentum)
    y = (x - mean.view(shape)) * (variance + eps).rsqrt().view(shape)
    if weight is not None:
        y = y * weight.view(shape)
    if bias is not None:
        y = y + bias.view(shape)
    return y.to(input.dtype)
