"""Fine-tuning of a teacher with a backend: learning rates by layer, and layers that join one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from svmixer.limits import not_negative, positive

if TYPE_CHECKING:
    from torch import nn

    from svmixer.models.speaker_model import SpeakerModel


@dataclass(frozen=True)
class FinetuneConfig:
    """A teacher trained on the speakers' labels, with the backend and in the student's place (stage 4)."""

    # Name or directory of the teacher to start from, as `teacher` takes it; empty trains a student.
    teacher: str = ""
    # Learning rate of a layer as a share of that of the layer above it. The backend has the full one, the
    # last layer this share of it, and what lies below the first layer the smallest.
    lr_decay: float = 1.0
    # Gradual unfreezing: epochs that the backend trains alone, and then from one layer to the next one below;
    # 0 trains all from the start.
    unfreeze_epochs: float = 0.0

    def __post_init__(self) -> None:
        positive(self, "lr_decay")
        if self.lr_decay > 1:
            raise ValueError(f"lr_decay: at most 1, found {self.lr_decay:g}")
        not_negative(self, "unfreeze_epochs")


def layer_groups(module: nn.Module, model: SpeakerModel, config: FinetuneConfig) -> list[dict[str, Any]]:
    """Groups of an optimiser for what is trained of ``module``: by depth below the backend, from the top.

    Args:
        module: the objective; whatever of it is not of the model's encoder has depth 0.
        model: part of it. Its last encoder layer has depth 1, what lies below its first layer L + 1.
        config: what a depth means.

    Returns:
        One dictionary a depth: ``params``, ``lr_share`` of the learning rate, and ``from_epoch``, the number
        of epochs until which it is 0.
    """
    layers = model.config.layers
    depth = {id(parameter): layers + 1 for parameter in model.student.parameters()}
    for index, layer in enumerate(model.student.layers):
        depth |= {id(parameter): layers - index for parameter in layer.parameters()}
    groups: dict[int, list[nn.Parameter]] = {}
    for parameter in module.parameters():
        if parameter.requires_grad:
            groups.setdefault(depth.get(id(parameter), 0), []).append(parameter)
    return [
        {
            "params": groups[below],
            "lr_share": config.lr_decay**below,
            "from_epoch": config.unfreeze_epochs * below,
        }
        for below in sorted(groups)
    ]


def group_lr(group: dict[str, Any], lr: float, epochs: float) -> float:
    """Learning rate of an optimiser's group after so many epochs, where the schedule says ``lr``."""
    return lr * group.get("lr_share", 1.0) if epochs >= group.get("from_epoch", 0.0) else 0.0
