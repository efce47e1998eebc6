"""Checkpoints: their format, whether one can be continued, and the average of the best epochs.

A checkpoint is a tree of dictionaries, lists, numbers and tensors in one safetensors file. Tensors go into
its body; the tree, with references in their place, goes into its metadata as JSON. Reading one can therefore
run no code. Writing is atomic, and the file before the newest is kept, so that a damaged newest file costs
one saving interval and not the run.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from svmixer.errors import SvmixerError
from svmixer.log import get_logger
from svmixer.models.io import save_tensors

logger = get_logger(__name__)

_TENSOR, _PAIRS, _TUPLE = "__tensor__", "__pairs__", "__tuple__"
# Tensors that a message names.
_NAMED = 4


class CheckpointError(SvmixerError):
    """A checkpoint file that cannot be read."""


class IncompatibleCheckpointError(CheckpointError):
    """A checkpoint of another model or optimiser; the message names the file and what differs."""


def save_tree(path: str | Path, tree: Any) -> None:
    """Write a tree of dicts, lists, tuples, numbers, strings, None and tensors to ``path``, atomically."""
    tensors: dict[str, torch.Tensor] = {}
    encoded = _encode(tree, tensors)
    save_tensors(tensors, path, {"tree": json.dumps(encoded)})


def load_tree(path: str | Path, device: str | torch.device = "cpu") -> Any:
    """Read what :func:`save_tree` wrote.

    Raises:
        CheckpointError: missing, truncated or foreign file.
    """
    try:
        with safe_open(str(path), framework="pt", device=str(device)) as stream:
            metadata = stream.metadata() or {}
            if "tree" not in metadata:
                raise CheckpointError(f"{path}: not a training checkpoint")
            return _decode(json.loads(metadata["tree"]), stream)
    except (SafetensorError, OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: {error}") from None


def rotate(path: str | Path, tree: Any) -> None:
    """Save to ``path`` and keep what was there as ``<path>.previous``."""
    path = Path(path)
    if path.exists():
        # A hard link keeps the old file under both names until the rename, so one of them is there at every
        # moment.
        previous = path.with_name(path.name + ".previous")
        spare = path.with_name(f".{previous.name}.tmp")
        spare.unlink(missing_ok=True)
        os.link(path, spare)
        os.replace(spare, previous)
    save_tree(path, tree)


def load_newest(path: str | Path) -> Any | None:
    """The tree of ``path``, or of ``<path>.previous`` if that is damaged; None if there is neither."""
    path = Path(path)
    candidates = [p for p in (path, path.with_name(path.name + ".previous")) if p.exists()]
    for candidate in candidates:
        try:
            return load_tree(candidate)
        except CheckpointError as error:
            logger.warning("unreadable checkpoint, trying the one before: %s", error)
    if candidates:
        raise CheckpointError(f"{path}: no readable checkpoint among {', '.join(map(str, candidates))}")
    return None


def _encode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        # A copy: safetensors refuses tensors that share memory, and optimiser states may.
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {_TENSOR: name}
    if isinstance(value, dict):
        return {_PAIRS: [[key, _encode(item, tensors)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {_TUPLE: [_encode(item, tensors) for item in value]}
    if isinstance(value, list):
        return [_encode(item, tensors) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"cannot save a {type(value).__name__} in a checkpoint")


def _decode(value: Any, stream: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item, stream) for item in value]
    if isinstance(value, dict):
        if _TENSOR in value:
            return stream.get_tensor(value[_TENSOR])
        if _TUPLE in value:
            return tuple(_decode(item, stream) for item in value[_TUPLE])
        return {key: _decode(item, stream) for key, item in value[_PAIRS]}
    return value


def check_compatible(
    tree: dict[str, Any], module: torch.nn.Module, optimizer: torch.optim.Optimizer, path: Path
) -> None:
    """Compare a checkpoint with what is to be continued from it.

    Options are compared elsewhere (:func:`svmixer.training.run.check_options`), but shapes also follow
    from what no option says, as the number of training speakers or the teacher's size, and options may be
    allowed to change.

    Args:
        tree: content of the checkpoint.
        module: what is trained.
        optimizer: of the step at which the checkpoint was written.
        path: of the checkpoint, for the message.

    Raises:
        IncompatibleCheckpointError: tensors are missing, too many or of another shape, or the optimiser is
            another one.
    """
    found = _tensor_differences(tree["module"], module.state_dict())
    if found:
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise IncompatibleCheckpointError(
            f"{path}: the model has changed (old → new): {', '.join(found[:_NAMED])}{more}"
        )
    old, new = (state["param_groups"] for state in (tree["optimizer"], optimizer.state_dict()))
    counts = [sum(len(group["params"]) for group in groups) for groups in (old, new)]
    if counts[0] != counts[1]:
        raise IncompatibleCheckpointError(
            f"{path}: {counts[0]} tensors were trained, now it would be {counts[1]}"
        )
    # Of the two kinds only sgd has it; other keys come and go with PyTorch's versions.
    if ("momentum" in old[0]) != ("momentum" in new[0]):
        raise IncompatibleCheckpointError(
            f"{path}: another optimiser than {type(optimizer).__name__} was at work"
        )


def _tensor_differences(old: dict[str, torch.Tensor], new: dict[str, torch.Tensor]) -> list[str]:
    """``name (old shape → new shape)`` of every tensor that is not in both with one shape."""
    found = []
    for name in [*new, *(name for name in old if name not in new)]:
        shapes = [str(tuple(state[name].shape)) if name in state else "none" for state in (old, new)]
        if shapes[0] != shapes[1]:
            found.append(f"{name} ({shapes[0]} → {shapes[1]})")
    return found


class BestCheckpoints:
    """Keeps the weights of the ``keep`` epochs with the lowest metric in ``folder``, and averages them."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self.entries: list[tuple[float, int]] = []
        self._saved: list[set[int]] = []

    def offer(self, epoch: int, metric: float, state: dict[str, torch.Tensor]) -> bool:
        """Keep ``epoch`` if it is among the best (of two equal ones the earlier); True if it was kept."""
        # NaN is neither lower nor higher than anything.
        metric = math.inf if math.isnan(metric) else metric
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
