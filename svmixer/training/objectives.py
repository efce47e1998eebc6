"""What is minimised: the trained modules with their losses as one module, so DDP sees one forward call."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svmixer.losses.aam import AAMConfig, build_speaker_loss
from svmixer.losses.distillation import DistillConfig, build_distill_loss
from svmixer.models.speaker_model import SpeakerModel
from svmixer.models.student import Student


class DistillObjective(nn.Module):
    """Stage 3: the student alone predicts the teacher's states."""

    def __init__(self, student: Student, config: DistillConfig, teacher_dim: int) -> None:
        super().__init__()
        self.student = student
        self.distill = build_distill_loss(config, student.config.hidden, teacher_dim)

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """``noisy`` (B, N) and ``teacher`` (B, K, T, D) → loss, {name: detached scalar}."""
        last = self.student.states(batch["noisy"])[-1]
        loss, stats = self.distill(last, batch["teacher"])
        return loss, {name: value.detach() for name, value in stats.items()}


class SpeakerObjective(nn.Module):
    """Stage 4, OS-KDFT: speaker loss plus distillation loss; without a teacher the speaker loss alone."""

    def __init__(
        self,
        model: SpeakerModel,
        speaker: AAMConfig,
        counts: list[int],
        distill: DistillConfig | None,
        teacher_dim: int | None,
    ) -> None:
        super().__init__()
        self.model = model
        self.speaker = build_speaker_loss(speaker, model.config.backend.embedding, len(counts), counts)
        self.distill = None
        if distill is not None and teacher_dim is not None:
            self.distill = build_distill_loss(distill, model.config.student.hidden, teacher_dim)

    def forward(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """``noisy`` (B·W, N), ``label`` (B,), maybe ``teacher`` (B·W, K, T, D) → loss, {name: scalar}.

        The embeddings of a crop's W windows are averaged as in scoring. ``epochs``, if it is there, says how
        far the training is.
        """
        label, config = batch["label"], self.speaker.config
        states = self.model.student.states(batch["noisy"])
        embedding = self.model.backend(torch.stack(states, dim=1))
        if len(embedding) > len(label):
            embedding = F.normalize(embedding).unflatten(0, (len(label), -1)).mean(dim=1)
        margin = config.margin_after(batch.get("epochs", math.inf))
        loss, stats = self.speaker(embedding, label, margin)
        stats = {"speaker": loss, **stats}
        if config.margin_epochs[1]:
            stats["margin"] = loss.new_tensor(margin)
        if self.distill is not None:
            distilled, more = self.distill(states[-1], batch["teacher"])
            loss = loss + distilled
            stats.update(more, distill=distilled)
        return loss, {name: torch.as_tensor(value).detach() for name, value in stats.items()}
