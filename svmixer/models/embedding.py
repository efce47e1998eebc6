"""Embeddings by a torch model: evaluation mode, its device, numpy in and out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from svmixer.models.utterance import embed_utterance
from svmixer.models.windows import Protocol

if TYPE_CHECKING:
    from svmixer.models.speaker_model import SpeakerModel


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


def window_embedder(model: SpeakerModel) -> Callable[[np.ndarray], np.ndarray]:
    """The model as a function from windows ``float32 (W, window)`` to embeddings ``float32 (W, D)``.

    Runs on the model's device in evaluation mode, whatever mode the model is in.
    """

    def embed_windows(windows: np.ndarray) -> np.ndarray:
        with evaluating(model):
            return model(torch.from_numpy(windows).to(model.device)).float().cpu().numpy()

    return embed_windows


def utterance_embedding(
    model: SpeakerModel, wave: np.ndarray, protocol: Protocol = "crops", num_crops: int = 10
) -> np.ndarray:
    """The embedding ``float32 (D,)`` of one utterance ``(N,)`` at the model's rate.

    Raises:
        ValueError: see :func:`svmixer.models.utterance.embed_utterance`.
    """
    return embed_utterance(window_embedder(model), wave, model.window, protocol, num_crops)
