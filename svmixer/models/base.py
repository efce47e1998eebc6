"""Embeddings by a torch module: evaluation mode, its device, numpy in and out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from svmixer.audio import LongWave
from svmixer.inference.utterance import Source, embed_utterance, embed_utterances, one_channel_at
from svmixer.inference.windows import Protocol


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


class EmbeddingModule(nn.Module):
    """A module with a ``forward`` from windows ``(B, window)`` to embeddings ``(B, D)``, for any audio.

    Runs on its own device in evaluation mode, whatever mode it is in.
    """

    # Samples of one window, and their rate in Hz; extending classes have properties or values of these names.
    window: int
    sample_rate: int

    @property
    def device(self) -> torch.device:
        """Where the parameters are; the CPU without any."""
        parameter = next(self.parameters(), None)
        return torch.device("cpu") if parameter is None else parameter.device

    def embed_windows(self, windows: np.ndarray) -> np.ndarray:
        """Windows ``float32 (W, window)`` → embeddings ``float32 (W, D)``, not scaled to unit length."""
        with evaluating(self):
            return self(torch.from_numpy(windows).to(self.device)).float().cpu().numpy()

    def embed(
        self,
        wave: str | os.PathLike[str] | np.ndarray | Tensor | LongWave,
        sample_rate: int | None = None,
        protocol: Protocol = "whole",
        num_crops: int = 10,
        channel: int | None = None,
    ) -> np.ndarray:
        """The embedding ``float32 (D,)`` of one utterance of any length; compare two with a dot product.

        Args:
            wave: a file name; or samples ``(N,)``, ``(channels, N)`` or ``(N, channels)``, floats in [−1, 1]
                or integers, which are scaled by their range; or what ``svmixer.audio.open_wave`` gives.
            sample_rate: of the samples in Hz; without it the model's.
            protocol: ``whole`` and ``stream`` (unit length, every sample used) or ``crops`` (the paper's
                evaluation); see :mod:`svmixer.inference.windows`.
            num_crops: windows of the ``crops`` protocol.
            channel: the one to take, from 0; without it channels are averaged.

        Raises:
            AudioError: audio that cannot be used, see :mod:`svmixer.audio.checks`.
        """
        wave = one_channel_at(wave, sample_rate, self.sample_rate, channel)
        return embed_utterance(self.embed_windows, wave, self.window, protocol, num_crops)

    def embed_sources(
        self, sources: Iterable[Source], protocol: Protocol = "whole", num_crops: int = 10
    ) -> Iterator[tuple[str, np.ndarray]]:
        """(name, embedding ``float32 (D,)``) of many utterances, whose windows fill batches together.

        Raises:
            UtteranceError: see :func:`svmixer.inference.utterance.embed_utterances`.
        """
        return embed_utterances(self.embed_windows, sources, self.window, protocol, num_crops)
