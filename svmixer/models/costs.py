"""Parameters and multiply-accumulate operations (MACs) of a model, as the paper counts and in full."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from svmixer.models.config import ModelConfig, StudentConfig
from svmixer.models.speaker_model import SpeakerModel

PAPER_LAYERS = (5, 17)
# What the paper (Table I) and the released models' description state: millions of parameters, GMACs.
STATED = {
    "transformer layer": (8.40, 1.25),
    "mlp_mixer layer": (8.58, 1.43),
    "cycle_mlp layer": (9.45, 1.42),
    "conv_mixer layer": (9.02, 1.48),
    "svmixer layer": (3.75, 0.63),
    "system L=5": (33.0, 11.9),
    "system L=17": (80.0, 19.4),
}

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


def paper_rows() -> Iterator[dict[str, Any]]:
    """A layer of each compared encoder, the front end, students, backends and systems of 5 and 17 layers.

    Rows that the paper or the released models state figures for have them under ``stated``.
    """
    for row in _paper_rows():
        if row["name"] in STATED:
            millions, gmacs = STATED[row["name"]]
            row = {**row, "stated": {"params": round(millions * 1e6), "macs": round(gmacs * 1e9)}}
        yield row


def _paper_rows() -> Iterator[dict[str, Any]]:
    for encoder in ("transformer", "mlp_mixer", "cycle_mlp", "conv_mixer"):
        yield _parts(ModelConfig(student=StudentConfig(layers=1, encoder=encoder)))["layer"]
    parts = {layers: _parts(ModelConfig(student=StudentConfig(layers=layers))) for layers in PAPER_LAYERS}
    first = parts[PAPER_LAYERS[0]]
    yield first["layer"]
    yield first["front end + projection"]
    for name in ("student", "backend", "system"):
        for layers in PAPER_LAYERS:
            row = parts[layers][name]
            yield {**row, "name": f"{row['name']} L={layers}"}


def model_rows(config: ModelConfig) -> Iterator[dict[str, Any]]:
    """Rows of one model: a layer, the front end, the encoder, the backend and all together (``system``).

    Of a teacher's encoder the parts are not counted apart.
    """
    yield from _parts(config).values()


def _parts(config: ModelConfig) -> dict[str, dict[str, Any]]:
    window = config.window
    # Shapes are all that counting needs: nothing is computed on the meta device.
    with torch.device("meta"):
        # Moved there too: ESPnet makes some parameters of its encoders where the context has no effect.
        model = SpeakerModel(config).to("meta")
        wave = torch.empty(1, window)
        frames = torch.empty(1, config.frames, config.hidden)
        states = torch.empty(1, config.layers + 1, config.frames, config.hidden)
    rest = {
        "backend": _row(f"{config.backend.name} backend", model.backend, states, window),
        "system": _row("system", model, wave, window),
    }
    if config.teacher is not None:
        return {"teacher": _row(config.teacher.family, model.student, wave, window), **rest}
    front = torch.nn.Sequential(model.student.conv_layers, model.student.feat_projection)
    return {
        "layer": _row(f"{config.student.encoder} layer", model.student.layers[0], frames, window),
        "front end + projection": _row("front end + projection", front, wave, window),
        "student": _row("student", model.student, wave, window),
        **rest,
    }


def _row(name: str, module: nn.Module, example: Tensor, samples: int) -> dict[str, Any]:
    cost = measure(module, example)
    return {
        "name": name,
        "params": cost.params,
        "macs": cost.macs,
        "operations": cost.operations,
        "samples": samples,
    }
