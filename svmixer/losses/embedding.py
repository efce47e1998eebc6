"""Distillation of utterance embeddings: a student's embeddings against those of another system."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svmixer.losses.config import EmbeddingDistillConfig


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
            The scalar loss in float32, before the weight; 0 if no utterance (relational: no
            two) has a target.
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
            return distance.sum() / max(distance.numel(), 1)
