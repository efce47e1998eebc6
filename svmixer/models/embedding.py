"""One embedding for an utterance of any length: what validation, scoring, the API and the export share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from svmixer.models.windows import Protocol, utterance_windows

if TYPE_CHECKING:
    from svmixer.models.speaker_model import SpeakerModel

# Windows that go through the model at once: bounds the memory that a long recording takes.
WINDOWS_AT_ONCE = 16


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients inside the block; each module's own mode is put back afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def combine(embeddings: Tensor, protocol: Protocol) -> Tensor:
    """Embeddings of an utterance's windows ``(W, D)`` → its one embedding ``(D,)``.

    ``crops``: the mean of the rows after each is scaled to unit length. The dot product of two such vectors
    is exactly the mean cosine over all pairs of their crops, the paper's score. ``whole``: the same, scaled
    to unit length again.
    """
    mean = F.normalize(embeddings, dim=1).mean(dim=0)
    return mean if protocol == "crops" else F.normalize(mean, dim=0)


def utterance_embedding(
    model: SpeakerModel, wave: np.ndarray, protocol: Protocol = "crops", num_crops: int = 10
) -> np.ndarray:
    """The embedding ``float32 (D,)`` of one utterance ``(N,)`` at the model's rate; see :func:`combine`.

    Runs on the model's device in evaluation mode, whatever mode the model is in.

    Raises:
        ValueError: empty waveform or other wrong input, see :func:`svmixer.models.windows.utterance_windows`;
            samples that are not finite.
    """
    wave = np.asarray(wave, dtype=np.float32)
    if not np.isfinite(wave).all():
        raise ValueError("the waveform has samples that are not finite (NaN or infinity)")
    windows = torch.from_numpy(utterance_windows(wave, model.window, protocol, num_crops))
    with evaluating(model):
        parts = [model(part.to(model.device)).float() for part in windows.split(WINDOWS_AT_ONCE)]
        return combine(torch.cat(parts), protocol).cpu().numpy()
