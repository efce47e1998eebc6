"""Whether a checkpoint can be continued with the model and optimiser that the configuration asks for.

Options are compared elsewhere (:mod:`svmixer.training.options`), but shapes also follow from what no option
says, as the number of training speakers or the teacher's size, and options may be allowed to change.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

# Tensors that a message names.
NAMED = 4


class FitError(ValueError):
    """A checkpoint of another model or optimiser; the message names the file and what differs."""


def check_fit(
    tree: dict[str, Any], module: torch.nn.Module, optimizer: torch.optim.Optimizer, path: Path
) -> None:
    """Compare a checkpoint with what is to be continued from it.

    Args:
        tree: content of the checkpoint.
        module: what is trained.
        optimizer: of the step at which the checkpoint was written.
        path: of the checkpoint, for the message.

    Raises:
        FitError: tensors are missing, too many or of another shape, or the optimiser is another one.
    """
    found = tensor_differences(tree["module"], module.state_dict())
    if found:
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        raise FitError(f"{path}: the model has changed (old → new): {', '.join(found[:NAMED])}{more}")
    old, new = (state["param_groups"] for state in (tree["optimizer"], optimizer.state_dict()))
    counts = [sum(len(group["params"]) for group in groups) for groups in (old, new)]
    if counts[0] != counts[1]:
        raise FitError(f"{path}: {counts[0]} tensors were trained, now it would be {counts[1]}")
    # Of the two kinds only sgd has it; other keys come and go with PyTorch's versions.
    if ("momentum" in old[0]) != ("momentum" in new[0]):
        raise FitError(f"{path}: another optimiser than {type(optimizer).__name__} was at work")


def tensor_differences(old: dict[str, torch.Tensor], new: dict[str, torch.Tensor]) -> list[str]:
    """``name (old shape → new shape)`` of every tensor that is not in both with one shape."""
    found = []
    for name in [*new, *(name for name in old if name not in new)]:
        shapes = [str(tuple(state[name].shape)) if name in state else "none" for state in (old, new)]
        if shapes[0] != shapes[1]:
            found.append(f"{name} ({shapes[0]} → {shapes[1]})")
    return found
