"""Training losses: AAM-softmax over speakers, and distillation against a teacher's hidden states."""

from svmixer.losses.aam import AAMConfig, AAMSoftmax, build_speaker_loss
from svmixer.losses.distillation import DistilHuBERT, DistillConfig, LastMSE, build_distill_loss

__all__ = [
    "AAMConfig",
    "AAMSoftmax",
    "DistilHuBERT",
    "DistillConfig",
    "LastMSE",
    "build_distill_loss",
    "build_speaker_loss",
]
