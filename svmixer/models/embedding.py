"""Embeddings by a torch model: evaluation mode, its device, numpy in and out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from svmixer.inference.stream import FrameSharing
from svmixer.inference.utterance import LongWave, Source, embed_utterance, embed_utterances
from svmixer.inference.windows import Protocol

if TYPE_CHECKING:
    from svmixer.models.speaker_model import SpeakerModel


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


def window_embedder(model: SpeakerModel) -> Callable[[np.ndarray], np.ndarray]:
    """The model as a function from windows ``float32 (W, window)`` to embeddings ``float32 (W, D)``.

    Runs on the model's device in evaluation mode, whatever mode the model is in.
    """

    def embed_windows(windows: np.ndarray) -> np.ndarray:
        with evaluating(model):
            return model(torch.from_numpy(windows).to(model.device)).float().cpu().numpy()

    return embed_windows


def frame_sharing(model: SpeakerModel) -> FrameSharing | None:
    """The model in two parts, front end and the rest, if windows that overlap can share the first.

    That is exact where a frame depends on its own samples alone: with layer norms over the channels. A group
    norm over time or a level that windows are brought to makes every frame depend on the whole window: None.
    """
    student = model.config.student
    if student.frontend.norm != "layer_norm" or student.frontend.level is not None:
        return None

    def frames(wave: np.ndarray) -> np.ndarray:
        with evaluating(model):
            return (
                model.student.frames(torch.from_numpy(wave[None]).to(model.device))[0].float().cpu().numpy()
            )

    def embed(windows: np.ndarray) -> np.ndarray:
        with evaluating(model):
            states = model.student.states_from(torch.from_numpy(windows).to(model.device))
            return model.from_states(torch.stack(states, dim=1)).float().cpu().numpy()

    front = student.frontend
    return FrameSharing(front.hop, front.receptive_field, student.frames, frames, embed)


def utterance_embedding(
    model: SpeakerModel, wave: np.ndarray | LongWave, protocol: Protocol = "crops", num_crops: int = 10
) -> np.ndarray:
    """The embedding ``float32 (D,)`` of one utterance ``(N,)`` at the model's rate.

    Raises:
        ValueError: see :func:`svmixer.inference.utterance.embed_utterance`.
    """
    return embed_utterance(window_embedder(model), wave, model.window, protocol, num_crops)


def utterance_embeddings(
    model: SpeakerModel, sources: Iterable[Source], protocol: Protocol = "crops", num_crops: int = 10
) -> Iterator[tuple[str, np.ndarray]]:
    """(name, embedding ``float32 (D,)``) of many utterances, whose windows fill the model's batches together.

    Raises:
        UtteranceError: see :func:`svmixer.inference.utterance.embed_utterances`.
    """
    return embed_utterances(window_embedder(model), sources, model.window, protocol, num_crops)
