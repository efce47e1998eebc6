"""Training losses: AAM-softmax over speakers, and distillation against a teacher's hidden states."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svmixer.losses.aam import AAMSoftmax, build_speaker_loss
    from svmixer.losses.config import AAMConfig, DistillConfig
    from svmixer.losses.distillation import DistilHuBERT, LastMSE, build_distill_loss

__all__ = [
    "AAMConfig",
    "AAMSoftmax",
    "DistilHuBERT",
    "DistillConfig",
    "LastMSE",
    "build_distill_loss",
    "build_speaker_loss",
]

_HOMES = {
    "AAMConfig": "svmixer.losses.config",
    "AAMSoftmax": "svmixer.losses.aam",
    "DistilHuBERT": "svmixer.losses.distillation",
    "DistillConfig": "svmixer.losses.config",
    "LastMSE": "svmixer.losses.distillation",
    "build_distill_loss": "svmixer.losses.distillation",
    "build_speaker_loss": "svmixer.losses.aam",
}


def __getattr__(name: str) -> object:
    # Loaded at first use: configurations are read, and their help is printed, where there is no torch.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'svmixer.losses' has no attribute '{name}'")
