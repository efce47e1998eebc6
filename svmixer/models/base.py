"""Embeddings by a torch module: evaluation mode, its device, numpy in and out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from svmixer.inference.embedding_model import EmbeddingModel


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients inside the block; each module's own mode is put back afterwards."""
    # Where nothing is in training mode, as always but in training, there is nothing to go through twice.
    training = [module for module in model.modules() if module.training]
    if training:
        model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


class EmbeddingModule(EmbeddingModel, nn.Module):
    """A module with a ``forward`` from windows ``(B, window)`` to embeddings ``(B, D)``, for any audio.

    Runs on its own device in evaluation mode, whatever mode it is in.
    """

    @property
    def device(self) -> torch.device:
        """Where the parameters are; the CPU without any."""
        parameter = next(self.parameters(), None)
        return torch.device("cpu") if parameter is None else parameter.device

    def embed_windows(self, windows: np.ndarray) -> np.ndarray:
        """Windows ``float32 (W, window)`` → embeddings ``float32 (W, D)``, not scaled to unit length."""
        with evaluating(self):
            return self(torch.from_numpy(windows).to(self.device)).float().cpu().numpy()
