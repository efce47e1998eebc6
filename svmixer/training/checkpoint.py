"""Checkpoints without pickle: a tree of dictionaries, lists, numbers and tensors in one safetensors file.

Tensors go into the safetensors body; the tree, with references in their place, goes into its metadata as
JSON. Reading one can therefore run no code. Writing is atomic, and the file before the newest is kept, so
that a damaged newest file costs one saving interval and not the run.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from svmixer.log import get_logger
from svmixer.models.io import save_tensors

log = get_logger(__name__)

_TENSOR, _PAIRS, _TUPLE = "__tensor__", "__pairs__", "__tuple__"


class CheckpointError(RuntimeError):
    """A checkpoint file that cannot be read."""


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
            log.warning("unreadable checkpoint, trying the one before: %s", error)
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
