"""A frozen teacher: hidden states of a self-supervised model that is never trained or stored."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from svmixer import config as configuration
from svmixer.devices import find_device
from svmixer.errors import SvmixerError
from svmixer.inference.embedding_model import ModelError, find_directory
from svmixer.models.config import ModelConfig
from svmixer.models.io import load_tensors, read_safetensors, save_tensors, set_tensors
from svmixer.models.student import Student
from svmixer.models.teacher_config import TeacherConfig
from svmixer.models.teacher_encoder import build_torchaudio, hidden_states
from svmixer.teachers import huggingface
from svmixer.yaml_files import read_yaml

if TYPE_CHECKING:
    from torchaudio.models import Wav2Vec2Model


class Teacher(nn.Module):
    """Hidden states of WavLM, HuBERT or wav2vec 2.0.

    The model is held outside the module tree: a parent's ``state_dict``, ``parameters`` and ``train`` do not
    reach it, so it is never saved, optimised, synchronised or woken from evaluation mode; ``.to(device)``
    moves it all the same.
    """

    def __init__(self, model: Wav2Vec2Model, config: TeacherConfig) -> None:
        super().__init__()
        self.config = config
        self._held = [model.eval().requires_grad_(False)]
        self.training = False

    @property
    def model(self) -> Wav2Vec2Model:
        """The torchaudio model."""
        return self._held[0]

    def train(self, mode: bool = True) -> Teacher:
        """A teacher stays in evaluation mode."""
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Teacher:
        self.model._apply(fn, recurse)
        return super()._apply(fn, recurse)

    @torch.no_grad()
    def hidden_states(
        self, wave: Tensor, final_norm: bool = False, layers: Sequence[int] | None = None
    ) -> Tensor:
        """``(B, N)`` → ``(B, L + 1, T, D)``, counted as ``transformers`` counts ``hidden_states``.

        State 0 is the encoder's input (projection, positional embedding and the layer norm where it stands
        there); state i is the output of layer i.

        Args:
            wave: waveforms at the teacher's rate, as they are: each teacher scales them itself.
            final_norm: apply the layer norm that follows the last layer of the Large models to state L, which
                makes it their ``last_hidden_state`` (``transformers`` before 5 did so in ``hidden_states``
                too). No effect on models whose layers end with their own norm.
            layers: give these K states alone, ``(B, K, T, D)``; −1 is state L. Layers above the highest of
                them are not computed.

        Raises:
            ValueError: not ``(B, N)``, too few samples for one frame, or no such layer.
        """
        wanted = self.numbers(layers)
        states = hidden_states(self.model, self.config, wave, max(wanted), final_norm)
        return torch.stack([states[number] for number in wanted], dim=1)

    forward = hidden_states

    def numbers(self, layers: Sequence[int] | None = None) -> list[int]:
        """The states ``layers`` counted from 0, where −1 is the last; all of them for None.

        Raises:
            ValueError: no such layer.
        """
        count = self.config.layers
        for layer in layers or ():
            if not -1 <= layer <= count:
                raise SvmixerError(f"layers: the teacher has {count} layers, asked for layer {layer}")
        return [count if layer == -1 else layer for layer in (range(count + 1) if layers is None else layers)]

    def frontend_state_dict(self) -> dict[str, Tensor]:
        """Convolutions and projection under the student's names: ``conv_layers.…``, ``feat_projection.…``."""
        projection = self.model.encoder.feature_projection
        tensors = dict(self.model.feature_extractor.state_dict())
        tensors.update({f"feat_projection.{key}": value for key, value in projection.state_dict().items()})
        return tensors


@dataclass(frozen=True)
class Copied:
    """What :func:`init_frontend_from_teacher` did."""

    # Names of the tensors that were copied.
    copied: list[str] = field(default_factory=list)
    # Names of the tensors that were not, each with the reason.
    skipped: dict[str, str] = field(default_factory=dict)


@torch.no_grad()
def init_frontend_from_teacher(student: Student, teacher: Teacher) -> Copied:
    """Copy the teacher's convolutions and feature projection into the student where the shapes agree.

    DistilHuBERT (Chang et al., ICASSP 2022) starts its student in this way.
    """
    source = teacher.frontend_state_dict()
    own = {
        key: value
        for key, value in student.state_dict().items()
        if key.startswith(("conv_layers.", "feat_projection."))
    }
    report = Copied()
    for key in sorted(own.keys() | source.keys()):
        if key not in own:
            report.skipped[key] = "the student has no such tensor"
        elif key not in source:
            report.skipped[key] = "the teacher has no such tensor"
        elif own[key].shape != source[key].shape:
            report.skipped[key] = f"teacher {tuple(source[key].shape)}, student {tuple(own[key].shape)}"
        else:
            own[key].copy_(source[key])
            report.copied.append(key)
    return report


def load_teacher(name_or_path: str | Path, device: str | torch.device = "cpu") -> Teacher:
    """A frozen teacher.

    Args:
        name_or_path: one of

            - a name that comes with the package (``wavlm_tiny``);
            - a teacher directory: ``config.yaml`` (:class:`TeacherConfig`) and ``model.safetensors``
              (torchaudio's names), as :func:`save_teacher` writes it;
            - the model directory of a teacher that was fine-tuned with a backend (``finetune``): its encoder;
            - a Hugging Face model directory: ``config.json`` and ``model.safetensors`` or
              ``pytorch_model.bin``;
            - a torchaudio bundle (``WAVLM_LARGE``, ``WAVLM_BASE_PLUS``, ``HUBERT_BASE``, ``WAV2VEC2_LARGE``,
              …), which torchaudio downloads once.
        device: where to put it.

    Raises:
        ModelError: nothing of that name, files that do not fit together, a bundle that cannot be downloaded.
        ConfigError: ``config.yaml`` has an unknown key or a bad value.
        DeviceError: there is no such device here.
    """
    device = find_device(device)
    path = Path(name_or_path)
    if (path / "config.json").is_file() and not (path / "config.yaml").is_file():
        return _from_huggingface(path).to(device)
    if not path.is_dir() and str(name_or_path).isupper():
        return _from_bundle(str(name_or_path)).to(device)
    directory = find_directory(name_or_path, "teacher")
    if "backend" in read_yaml(directory / "config.yaml"):
        return _from_system(directory).to(device)
    config = configuration.load(TeacherConfig, directory / "config.yaml")
    model = build_torchaudio(config)
    load_tensors(model, directory / "model.safetensors")
    return Teacher(model, config).to(device)


def save_teacher(model: torch.nn.Module, config: TeacherConfig, directory: str | Path) -> None:
    """Write a torchaudio model as a teacher directory that :func:`load_teacher` reads."""
    directory = Path(directory)
    configuration.save(config, directory / "config.yaml")
    save_tensors(model.state_dict(), directory / "model.safetensors")


def _from_system(directory: Path) -> Teacher:
    config = configuration.load(ModelConfig, directory / "config.yaml").teacher
    if config is None:
        raise ModelError(
            f"{directory}: the model of a student, which is no teacher; its embeddings can be targets "
            "(--teacher_embeddings)"
        )
    path = directory / "model.safetensors"
    own = {key: value for key, value in read_safetensors(path).items() if key.startswith("student.")}
    model = build_torchaudio(config)
    set_tensors(model, {key.removeprefix("student."): value for key, value in own.items()}, path)
    return Teacher(model, config)


def _from_huggingface(directory: Path) -> Teacher:
    config = huggingface.read_config(directory)
    model = build_torchaudio(config)
    set_tensors(model, huggingface.read_tensors(directory, config), directory)
    return Teacher(model, config)


def bundle_config(name: str) -> TeacherConfig:
    """The configuration of the torchaudio bundle ``name``; nothing is downloaded.

    Raises:
        ModelError: there is no such bundle; the message names the nearest.
    """
    from torchaudio import pipelines

    known = [key for key, value in vars(pipelines).items() if isinstance(value, pipelines.Wav2Vec2Bundle)]
    if name not in known:
        raise ModelError(f"no torchaudio bundle '{name}'; {configuration.nearest(name, known)}")
    bundle = getattr(pipelines, name)
    family = "wavlm" if bundle._model_type == "WavLM" else "hubert" if "HUBERT" in name else "wav2vec2"
    values = {"family": family, "normalise_waveform": bundle._normalize_waveform}
    # None stands for torchaudio's default, which is ours too; the head of the fine-tuned ones is not wanted.
    arguments = {key: value for key, value in bundle._params.items() if value is not None}
    arguments.pop("aux_num_out", None)
    return configuration.from_dict(TeacherConfig, {**values, **arguments}, name)


def _from_bundle(name: str) -> Teacher:
    from torchaudio import pipelines

    config = bundle_config(name)
    try:
        # Tensors alone: unpickling would run code of the file.
        model = getattr(pipelines, name).get_model(dl_kwargs={"weights_only": True})
    except (pickle.UnpicklingError, RuntimeError) as error:
        raise ModelError(f"{name}: {torch.hub.get_dir()}/checkpoints has another file: {error}") from None
    except OSError as error:
        raise ModelError(
            f"{name}: its weights cannot be downloaded ({error}); run once on a connected machine and copy "
            f"{torch.hub.get_dir()}/checkpoints, or name a directory that has the weights"
        ) from None
    # torchaudio wraps models that want scaled waveforms in one that scales a whole batch at once; Teacher
    # scales each waveform on its own.
    return Teacher(getattr(model, "model", model), config)
