"""Additive angular margin softmax (Deng et al., CVPR 2019) with a penalty on the hardest impostors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svmixer.errors import SvmixerError
from svmixer.losses.config import AAMConfig


class AAMSoftmax(nn.Module):
    """AAM-softmax over speaker classes with an optional penalty on each sample's top-K impostor classes.

    The target logit is scale · cos(θ + margin), and scale · (cos θ − margin · sin margin) beyond
    θ = π − margin, where the former would rise again. The penalty has two readings: ``angle`` (released
    SV-Mixer code) gives the K impostor classes of largest cosine the logit scale · cos(θ − top_k_margin),
    continued as scale · (cos θ + 1 − cos top_k_margin) below θ = top_k_margin to keep it falling with θ;
    ``weight`` (arXiv 2509.14136) multiplies their terms in the softmax denominator by ``top_k_weight``.
    With K or fewer impostor classes, all of them are penalised.

    With ``sub_centres`` a class has several centres, and its cosine is that of the nearest (Deng et al., ECCV
    2020): rows c · sub_centres … of ``weight`` are those of class c.

    Everything is computed in float32 (float64 for float64 embeddings) whatever the autocast state, and the
    gradients are finite at cos θ = ±1.

    Args:
        dim: size D of the embeddings.
        classes: number of speakers.
        config: margin, scale and penalty.
        class_weights: (classes,) weight of each class's samples in the weighted mean; None: a plain mean.

    Raises:
        ValueError: fewer than two classes, or class weights of the wrong shape, not positive or not finite.
    """

    class_weights: Tensor | None

    def __init__(
        self, dim: int, classes: int, config: AAMConfig | None = None, class_weights: Tensor | None = None
    ) -> None:
        super().__init__()
        if classes < 2:
            raise SvmixerError(f"a speaker loss needs at least 2 speakers, found {classes}")
        self.config = config or AAMConfig()
        self.weight = nn.Parameter(torch.empty(classes * self.config.sub_centres, dim))
        nn.init.xavier_normal_(self.weight)
        if class_weights is not None:
            class_weights = torch.as_tensor(class_weights, dtype=torch.float32)
            if class_weights.shape != (classes,):
                shape = tuple(class_weights.shape)
                raise SvmixerError(f"class weights: expected shape ({classes},), found {shape}")
            if not bool((class_weights > 0).all() and class_weights.isfinite().all()):
                raise SvmixerError("class weights: must be positive and finite (every class needs samples)")
        # Follows from the training list, so it is not part of a checkpoint.
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(
        self, embedding: Tensor, label: Tensor, margin: float | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch.

        Args:
            embedding: (B, D) raw embeddings; only their direction matters.
            label: (B,) int64 class indices.
            margin: in radians, while it still rises; None: the configuration's.

        Returns:
            The scalar loss and detached figures. The loss is the mean over the batch; with class weights the
            weighted one, in training so that the mean of all processes' losses is that of their whole batch.
            ``accuracy`` is the share of samples whose own class has the largest cosine (no margin).
        """
        with torch.autocast(embedding.device.type, enabled=False):
            precise = torch.float64 if embedding.dtype == torch.float64 else torch.float32
            cosine = F.linear(F.normalize(embedding.to(precise)), F.normalize(self.weight.to(precise)))
            cosine = cosine.unflatten(1, (-1, self.config.sub_centres)).amax(dim=2)  # (B, classes)
            logits = self._logits(cosine, label, self.config.margin if margin is None else margin)
            weights = None if self.class_weights is None else self.class_weights.to(precise)
            loss = F.cross_entropy(logits, label, weight=weights)
            if weights is not None and self.training:
                loss = loss * process_share(weights[label].sum())
            accuracy = (cosine.detach().argmax(dim=1) == label).to(precise).mean()
        return loss, {"accuracy": accuracy}

    def _logits(self, cosine: Tensor, label: Tensor, margin: float) -> Tensor:
        """(B, classes) cosines to (B, classes) logits with margin and penalty."""
        scale, index = self.config.scale, label.unsqueeze(1)  # (B, 1)
        target = cosine.gather(1, index)
        logits = scale * cosine.scatter(1, index, _add_margin(target, margin))
        if self.config.top_k_mode == "none":
            return logits
        impostors = cosine.detach().scatter(1, index, -math.inf)
        hardest = impostors.topk(min(self.config.top_k, cosine.shape[1] - 1), dim=1).indices  # (B, K)
        if self.config.top_k_mode == "angle":
            penalised = scale * _subtract_margin(cosine.gather(1, hardest), self.config.top_k_margin)
        else:
            # w · exp(z) = exp(z + ln w)
            penalised = logits.gather(1, hardest) + math.log(self.config.top_k_weight)
        return logits.scatter(1, hardest, penalised)


def build_speaker_loss(
    config: AAMConfig, dim: int, classes: int, counts: Sequence[int] | Tensor | None = None
) -> AAMSoftmax:
    """The speaker loss of a configuration.

    Args:
        config: margin, scale, penalty, class weights.
        dim: embedding size.
        classes: number of training speakers.
        counts: (classes,) utterances of each speaker; needed when ``config.class_weights`` is set.

    Raises:
        ValueError: class weights are wanted and counts are missing, of the wrong length or not all positive.
    """
    if not config.class_weights:
        return AAMSoftmax(dim, classes, config)
    if counts is None:
        raise SvmixerError("class_weights: the number of utterances per speaker is needed")
    number = torch.as_tensor(counts, dtype=torch.float64)
    return AAMSoftmax(dim, classes, config, number.sum() / number)


def _sine(cosine: Tensor) -> Tensor:
    """sin θ ≥ 0 of cos θ, with gradient 0 instead of infinity at cos θ = ±1 and beyond (rounding)."""
    square = (1.0 - cosine) * (1.0 + cosine)
    # The floor lies far below the square's resolution: it changes no value, it only stops the gradient.
    return square.clamp_min(torch.finfo(cosine.dtype).tiny).sqrt()


def _add_margin(cosine: Tensor, margin: float) -> Tensor:
    """cos(θ + margin), kept falling beyond θ = π − margin."""
    shifted = cosine * math.cos(margin) - _sine(cosine) * math.sin(margin)
    return torch.where(cosine > -math.cos(margin), shifted, cosine - margin * math.sin(margin))


def _subtract_margin(cosine: Tensor, margin: float) -> Tensor:
    """cos(θ − margin), kept falling (and continuous) below θ = margin."""
    shifted = cosine * math.cos(margin) + _sine(cosine) * math.sin(margin)
    return torch.where(cosine < math.cos(margin), shifted, cosine + 1.0 - math.cos(margin))


def process_share(weight: Tensor) -> Tensor | float:
    """What a weighted mean over this process's rows has to be multiplied by, ``()``; 1 in a single process.

    Parallel training averages the gradients of all processes, each counting alike. With this factor, the
    average is the gradient of the weighted mean over the rows of all.

    Args:
        weight: ``()``, sum of the weights of this process's rows. All processes call this equally often.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 1.0
    total = weight.detach().clone()
    torch.distributed.all_reduce(total)
    # Where no process has any, nothing is divided by 0.
    return weight * torch.distributed.get_world_size() / (total + (total == 0))
