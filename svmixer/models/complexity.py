"""Parameters and multiply-accumulate operations (MACs) of a model, as the paper counts and in full."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

# Operations that move or rename data without computing.
_FREE = {
    "_reshape_alias", "_to_copy", "_unsafe_view", "alias", "as_strided", "cat", "clone", "contiguous",
    "copy_", "detach", "empty", "expand", "permute", "select", "slice", "split", "split_with_sizes",
    "squeeze", "stack", "t", "transpose", "unfold", "unsqueeze", "view",
}  # fmt: skip


@dataclass(frozen=True)
class Complexity:
    """Cost of one module for one input."""

    # Numbers in parameters.
    params: int
    # MACs of Linear and Conv layers alone, adding a bias counted as one: the paper's accounting.
    macs: int
    # MACs of every matrix product and convolution, plus one operation an element for all else that computes.
    operations: int


def measure(module: nn.Module, *inputs: Tensor) -> Complexity:
    """Cost of ``module(*inputs)`` in evaluation mode.

    Args:
        module: left in the mode that it was in.
        inputs: for one example; the counts grow with the batch.
    """
    was_training = module.training
    module.eval()
    with torch.no_grad(), LayerCounter(module) as layers, OperationCounter() as operations:
        module(*inputs)
    module.train(was_training)
    return Complexity(sum(p.numel() for p in module.parameters()), layers.macs, operations.total)


class LayerCounter:
    """Counts the MACs of Linear and Conv layers by forward hooks: weights and biases × positions."""

    def __init__(self, module: nn.Module) -> None:
        self.macs = 0
        self.module = module
        self.hooks: list[Any] = []

    def __enter__(self) -> LayerCounter:
        for layer in self.module.modules():
            if isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):
                self.hooks.append(layer.register_forward_hook(self._count))
        return self

    def __exit__(self, *exception: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def _count(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        positions = output.numel() // layer.weight.shape[0]
        self.macs += positions * sum(parameter.numel() for parameter in layer.parameters())


class OperationCounter(TorchDispatchMode):
    """Counts what torch executes, whichever module asks for it.

    Matrix products and convolutions count their MACs, as executed. Any other operation that computes (norms,
    activations, sums, pooling, softmax) counts one for each element of the largest tensor that it reads or
    writes; moving data is free.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        packet = func.overloadpacket
        if packet in flop_registry:
            self.total += flop_registry[packet](*args, **kwargs, out_val=result) // 2
        elif packet.__name__ not in _FREE:
            results = result if isinstance(result, (tuple, list)) else [result]
            sizes = [t.numel() for t in [*args, *results] if isinstance(t, Tensor)]
            self.total += max(sizes, default=0)
        return result
