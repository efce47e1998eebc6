"""Configurations of the training losses; nothing here imports torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from svmixer.limits import different


@dataclass(frozen=True)
class AAMConfig:
    """Speaker loss. Defaults: SV-Mixer (arXiv 2509.14136), as released."""

    margin: float = 0.2  # angular margin on the speaker's own class, radians
    # epochs of training between which the margin rises from 0 to that, exponentially: nine tenths of it in
    # the first third; with 0, 0 it is there from the start
    margin_epochs: tuple[float, float] = (0.0, 0.0)
    scale: float = 30.0  # factor between cosine and logit
    # centres of each speaker, of which the nearest counts (Deng et al., ECCV 2020)
    sub_centres: int = 1
    top_k: int = 5  # how many of each sample's hardest impostor classes are penalised
    # the penalty: angle (their angle shrinks by top_k_margin), weight (their terms weigh top_k_weight times
    # in the softmax denominator) or none
    top_k_mode: Literal["angle", "weight", "none"] = "angle"
    top_k_margin: float = 0.1  # radians, for top_k_mode angle
    top_k_weight: float = 10.0  # factor in the softmax denominator, for top_k_mode weight
    class_weights: bool = False  # weigh each speaker's samples by total / count

    def __post_init__(self) -> None:
        for name in ("margin", "top_k_margin"):
            if not 0.0 <= getattr(self, name) < math.pi / 2:
                raise ValueError(f"{name}: must be at least 0 and below π/2, found {getattr(self, name)}")
        if not 0.0 <= self.margin_epochs[0] <= self.margin_epochs[1]:
            first, last = self.margin_epochs
            raise ValueError(f"margin_epochs: expected first and last, from 0, found {first:g}, {last:g}")
        for name in ("scale", "top_k_weight"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: must be positive, found {getattr(self, name)}")
        if self.sub_centres < 1:
            raise ValueError(f"sub_centres: must be at least 1, found {self.sub_centres}")
        if self.top_k < 1:
            raise ValueError(f"top_k: must be at least 1 (top_k_mode none is off), found {self.top_k}")

    def margin_after(self, epochs: float) -> float:
        """The margin in radians after ``epochs`` of training, which may be a fraction."""
        first, last = self.margin_epochs
        if epochs >= last:
            return self.margin
        if epochs < first:
            return 0.0
        # A thousandth is left at the end, which then goes at once, as in WeSpeaker.
        return self.margin * (1.0 - 0.001 ** ((epochs - first) / (last - first)))


@dataclass(frozen=True)
class DistillConfig:
    """Distillation loss. Defaults: the one SV-Mixer (arXiv 2509.14136) uses in its tables."""

    # last_mse: last state on last state; distilhubert: heads on the last state predict several teacher layers
    kind: Literal["last_mse", "distilhubert"] = "last_mse"
    weight: float = 1.0  # factor of the distillation loss in the total
    layers: tuple[int, ...] = (8, 16, 24)  # distilhubert: teacher layers to predict (0: the encoder's input)
    cosine_weight: float = 1.0  # distilhubert: λ of the cosine term
    # distilhubert: the cosine term over frames: mean (DistilHuBERT), or sum (the released SV-Mixer code)
    reduction: Literal["mean", "sum"] = "mean"

    def __post_init__(self) -> None:
        if not 0.0 < self.weight < math.inf:
            raise ValueError(f"weight: must be positive, found {self.weight}")
        if not 0.0 <= self.cosine_weight < math.inf:
            raise ValueError(f"cosine_weight: must not be negative, found {self.cosine_weight}")
        if not self.layers or min(self.layers) < 0:
            raise ValueError(f"layers: expected one or more layer numbers from 0, found {list(self.layers)}")
        different(self, "layers")


@dataclass(frozen=True)
class EmbeddingDistillConfig:
    """Utterance embeddings of another system as targets of speaker training."""

    scp: str = ""  # their Kaldi vectors, one for each training utterance; empty trains without
    # cosine: a linear map of the embedding points where the target does; relational: embeddings of a batch
    # are as similar to each other as their targets are
    kind: Literal["cosine", "relational"] = "cosine"
    weight: float = 1.0  # factor of this loss in the total
    missing: float = 0.01  # share of the training utterances that may lack a vector; they teach nothing here

    def __post_init__(self) -> None:
        if not 0.0 < self.weight < math.inf:
            raise ValueError(f"weight: must be positive, found {self.weight}")
        if not 0.0 <= self.missing < 1.0:
            raise ValueError(f"missing: must be at least 0 and below 1, found {self.missing}")
