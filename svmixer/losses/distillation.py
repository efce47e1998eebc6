"""Distillation: a student's hidden states against a frozen teacher's."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svmixer.losses.aam import process_share
from svmixer.losses.config import DistillConfig, EmbeddingDistillConfig


class LastMSE(nn.Module):
    """Mean squared error between the last hidden states of student and teacher, the paper's default loss.

    Where the sizes differ, a linear map on the student side makes up for it. It lives here and not in the
    student, so it goes with the loss when training ends.

    Args:
        student_dim: H, size of the student's states.
        teacher_dim: D, size of the teacher's states.
        weight: factor of the returned loss.

    Attributes:
        layers: the teacher's states that it reads, as :meth:`svmixer.teachers.Teacher.hidden_states` counts.
    """

    layers = (-1,)

    def __init__(self, student_dim: int, teacher_dim: int, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight
        self.projection = nn.Identity() if student_dim == teacher_dim else nn.Linear(student_dim, teacher_dim)

    def forward(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch.

        Args:
            student: (B, T, H), the last hidden state.
            teacher: (B, 1, T', D), the last hidden state of the same crops.

        Returns:
            The scalar loss in float32 and detached figures: ``mse``, before the factor, and ``cosine``, the
            mean cosine between prediction and target.
        """
        guess = self.projection(student)  # (B, T, D)
        target = align_frames(teacher.squeeze(1), guess.shape[1])
        guess, target = _precise(guess), _precise(target)
        mse = F.mse_loss(guess, target)
        cosine = F.cosine_similarity(guess.detach(), target, dim=-1).mean()
        return self.weight * mse, {"mse": mse.detach(), "cosine": cosine}


class DistilHuBERT(nn.Module):
    """Several teacher layers predicted from the student's last state (Chang et al., ICASSP 2022).

    One head Linear(H → D) → GELU → Linear(D → D) for each teacher layer; the loss is
    mean |difference| − λ · log σ(cosine), summed over heads, where the first mean is over batch, frames and
    channels, and the cosine is each frame's.

    Args:
        student_dim: H, size of the student's states.
        teacher_dim: D, size of the teacher's states.
        layers: teacher layers to predict; 0 is the encoder's input, n the output of layer n.
        cosine_weight: λ.
        reduction: of the cosine term over frames: ``mean`` as in DistilHuBERT, or ``sum`` as in the released
            SV-Mixer code (T times the weight). Over the batch it is averaged either way.
        weight: factor of the returned loss.
    """

    def __init__(
        self,
        student_dim: int,
        teacher_dim: int,
        layers: tuple[int, ...] = (8, 16, 24),
        cosine_weight: float = 1.0,
        reduction: Literal["mean", "sum"] = "mean",
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self.cosine_weight = cosine_weight
        self.reduction = reduction
        self.weight = weight
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(student_dim, teacher_dim), nn.GELU(), nn.Linear(teacher_dim, teacher_dim))
            for _ in self.layers
        )

    def forward(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch.

        Args:
            student: (B, T, H), the last hidden state.
            teacher: (B, K, T', D), the states ``layers`` of the same crops, in this order.

        Returns:
            The scalar loss in float32 and detached figures averaged over heads: ``l1``, and ``cosine``, the
            mean cosine between prediction and target; the latter also for each head, as ``cosine_layer8``.
        """
        l1, log_sigmoid, cosine = [], [], []
        for states, head in zip(teacher.unbind(1), self.heads, strict=True):
            guess = _precise(head(student))  # (B, T, D)
            target = _precise(align_frames(states, guess.shape[1]))
            similarity = F.cosine_similarity(guess, target, dim=-1)  # (B, T)
            per_crop = F.logsigmoid(similarity)
            per_crop = per_crop.mean(dim=1) if self.reduction == "mean" else per_crop.sum(dim=1)
            l1.append(F.l1_loss(guess, target))
            log_sigmoid.append(per_crop.mean())
            cosine.append(similarity.detach().mean())
        zero = l1[0].new_zeros(())
        loss = sum(l1, zero) - self.cosine_weight * sum(log_sigmoid, zero)
        figures = {"l1": torch.stack(l1).detach().mean(), "cosine": torch.stack(cosine).mean()}
        figures |= {f"cosine_layer{layer}": value for layer, value in zip(self.layers, cosine, strict=True)}
        return self.weight * loss, figures


def build_distill_loss(config: DistillConfig, student_dim: int, teacher_dim: int) -> LastMSE | DistilHuBERT:
    """The distillation loss of a configuration for states of these sizes."""
    if config.kind == "last_mse":
        return LastMSE(student_dim, teacher_dim, config.weight)
    return DistilHuBERT(
        student_dim, teacher_dim, config.layers, config.cosine_weight, config.reduction, config.weight
    )


def align_frames(states: Tensor, frames: int) -> Tensor:
    """The frame nearest in time for each of ``frames`` evenly spaced frames over the same stretch of audio.

    Both sequences are taken to divide one crop evenly, so frame t of T is centred at (t + ½) / T of it. Equal
    counts are left alone; a teacher with more frames is thinned out, one with fewer has frames repeated.

    Args:
        states: (B, T', D).
        frames: T.

    Returns:
        (B, T, D).
    """
    count = states.shape[1]
    if count == frames:
        return states
    position = torch.arange(frames, device=states.device)
    return states[:, (2 * position + 1) * count // (2 * frames)]


def _precise(states: Tensor) -> Tensor:
    """float32 for reduced precisions: sums over T · D values lose digits in bf16."""
    return states if states.dtype == torch.float64 else states.float()


class EmbeddingDistill(nn.Module):
    """Embeddings of a batch against target vectors of the same utterances.

    ``cosine``: 1 − cos(W e, t), averaged over utterances, where the linear map W lives here and goes with the
    loss when training ends. ``relational`` (Park et al., CVPR 2019, with cosines in place of distances): the
    mean squared difference between cos(eᵢ, eⱼ) and cos(tᵢ, tⱼ) over pairs i ≠ j; no map is needed.

    A row of zeros among the targets stands for an utterance without one, and is left out.

    Args:
        config: kind and weight of the loss.
        dim: D, size of the student's embeddings.
        target_dim: E, size of the targets.
    """

    def __init__(self, config: EmbeddingDistillConfig, dim: int, target_dim: int) -> None:
        super().__init__()
        self.kind, self.weight = config.kind, config.weight
        self.projection = nn.Linear(dim, target_dim, bias=False) if config.kind == "cosine" else None

    def forward(self, embedding: Tensor, target: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            embedding: (B, D).
            target: (B, E).

        Returns:
            The scalar loss in float32, before the weight; 0 if no utterance (relational: no two of this
            process) has a target.
        """
        there = target.ne(0.0).any(dim=1)
        with torch.autocast(embedding.device.type, enabled=False):
            embedding, target = embedding.float()[there], target.float()[there]
            if self.projection is not None:
                distance = 1.0 - F.cosine_similarity(self.projection(embedding), target)
            else:
                pairs = ~torch.eye(len(target), dtype=torch.bool, device=target.device)
                found, wanted = (unit @ unit.T for unit in (F.normalize(embedding), F.normalize(target)))
                distance = (found - wanted)[pairs].square()
            count = distance.new_tensor(float(distance.numel()))
            mean = distance.sum() / count.clamp(min=1.0)
            return mean * process_share(count) if self.training else mean
