"""What every model offers for audio of any length, however it computes the embeddings of windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from svmixer.audio.checks import MIN_SECONDS
from svmixer.errors import SvmixerError
from svmixer.inference.hub import PREFIX, find_model
from svmixer.inference.stream import EmbeddingStream
from svmixer.inference.utterance import Recording, Source, embed_utterance, embed_utterances, one_channel_at
from svmixer.inference.windows import Protocol

ASSETS = Path(__file__).resolve().parents[1] / "assets"
# What an export, and so every model that comes with the package, has, and a teacher has not.
DESCRIPTION = "export.json"
# The model that verify and enrol take when none is named.
DEFAULT_MODEL = "pocket2"


class ModelError(SvmixerError):
    """A model directory that cannot be read; the message names the file and what is wrong."""

    kind = "model"


# What a directory without any of them is no model by.
MARKS = ("config.yaml", DESCRIPTION)


def find_directory(
    path_or_name: str | Path, kind: str, files: Sequence[str] = ("config.yaml", "model.safetensors")
) -> Path:
    """The directory of that path, or of that name among those that come with the package or on the hub.

    Args:
        path_or_name: a directory, a name, or ``hf:USER/NAME[@REVISION]``.
        kind: what it should be: ``model``, ``export`` or ``teacher``.
        files: what it must have.

    Raises:
        ModelError: there is none, or it lacks one of ``files``.
        HubError: see :func:`svmixer.inference.hub.find_model`.
    """
    if str(path_or_name).startswith(PREFIX):
        path_or_name = find_model(str(path_or_name).removeprefix(PREFIX), files)
    places = [place for place in (Path(path_or_name), ASSETS / path_or_name) if place.is_dir()]
    for place in places:
        # A folder that happens to be called as a model of the package does not hide that.
        wanted = files or [next((name for name in MARKS if (place / name).is_file()), MARKS[0])]
        if all((place / name).is_file() for name in wanted):
            return place
    for place in places:
        missing = next(name for name in files or MARKS if not (place / name).is_file())
        raise ModelError(f"{place}: no {kind} directory: {missing} is missing")
    shipped = shipped_models(kind, files)
    names = f" (names: {', '.join(shipped)})" if shipped else ""
    raise ModelError(f"{path_or_name}: no such {kind} directory{names}")


def shipped_models(kind: str, files: Sequence[str]) -> list[str]:
    """Names of what comes with the package; arguments as in :func:`find_directory`."""
    return sorted(
        path.name
        for path in ASSETS.iterdir()
        if (path / DESCRIPTION).is_file() == (kind != "teacher")
        and all((path / name).is_file() for name in files)
    )


class EmbeddingModel:
    """Embeddings of utterances by :meth:`embed_windows`, which extending classes define."""

    if TYPE_CHECKING:
        # Extending classes have properties or values of these names.
        window: int  # samples of one window
        sample_rate: int  # of the waveforms, in Hz

    def embed_windows(self, windows: np.ndarray) -> np.ndarray:
        """Windows ``float32 (W, window)`` → embeddings ``float32 (W, D)``, not scaled to unit length."""
        raise NotImplementedError

    def embed(
        self,
        wave: Recording,
        sample_rate: int | None = None,
        protocol: Protocol = "whole",
        num_crops: int = 10,
        channel: int | None = None,
    ) -> np.ndarray:
        """The embedding ``float32 (D,)`` of one utterance of any length; compare two with a dot product.

        Args:
            wave: a file by its name, its bytes or a binary file object; or samples ``(N,)``,
                ``(channels, N)`` or ``(N, channels)``, floats in [−1, 1] or integers, which are scaled by
                their range, in an array or a tensor; or what ``svmixer.audio.open_wave`` gives.
            sample_rate: of the samples in Hz; None takes the model's.
            protocol: ``whole`` and ``stream`` (unit length, every sample used) or ``crops`` (the paper's
                evaluation); see :mod:`svmixer.inference.windows`.
            num_crops: windows of the ``crops`` protocol.
            channel: the one to take, from 0; None takes the mean of all.

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

    def stream(
        self,
        sample_rate: int | None = None,
        hop: int | None = None,
        enrolled: np.ndarray | None = None,
        channel: int | None = None,
    ) -> EmbeddingStream:
        """For audio that arrives piece by piece; see :class:`svmixer.inference.stream.EmbeddingStream`.

        Args:
            sample_rate: of that audio in Hz; None takes the model's.
            hop: samples at the model's rate from one window to the next; None takes a window.
            enrolled: embedding ``(D,)`` to score against.
            channel: of that audio, from 0; None takes the mean of all.
        """
        return EmbeddingStream(
            self.embed_windows, self.window, hop, self.sample_rate, sample_rate, enrolled,
            round(MIN_SECONDS * self.sample_rate), channel,
        )  # fmt: skip
