"""Where teachers come from: the package, a directory, a Hugging Face directory, or a torchaudio bundle."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from svmixer import config as configuration
from svmixer.devices import find_device
from svmixer.inference.embedding_model import ModelError, find_directory
from svmixer.models.io import load_tensors, save_tensors, set_tensors
from svmixer.teachers import huggingface
from svmixer.teachers.config import TeacherConfig
from svmixer.teachers.teacher import Teacher

if TYPE_CHECKING:
    from torchaudio.models import Wav2Vec2Model


def load_teacher(name_or_path: str | Path, device: str | torch.device = "cpu") -> Teacher:
    """A frozen teacher.

    Args:
        name_or_path: one of

            - a name that comes with the package (``wavlm_tiny``);
            - a teacher directory: ``config.yaml`` (:class:`TeacherConfig`) and ``model.safetensors``
              (torchaudio's names), as :func:`save_teacher` writes it;
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
    config = configuration.load(TeacherConfig, directory / "config.yaml")
    model = build_torchaudio(config)
    load_tensors(model, directory / "model.safetensors")
    return Teacher(model, config).to(device)


def save_teacher(model: torch.nn.Module, config: TeacherConfig, directory: str | Path) -> None:
    """Write a torchaudio model as a teacher directory that :func:`load_teacher` reads."""
    directory = Path(directory)
    configuration.save(config, directory / "config.yaml")
    save_tensors(model.state_dict(), directory / "model.safetensors")


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
        model = getattr(pipelines, name).get_model()
    except OSError as error:
        raise ModelError(
            f"{name}: its weights cannot be downloaded ({error}); run once on a connected machine and copy "
            f"{torch.hub.get_dir()}/checkpoints, or name a directory that has the weights"
        ) from None
    # torchaudio wraps models that want scaled waveforms in one that scales a whole batch at once; Teacher
    # scales each waveform on its own.
    return Teacher(getattr(model, "model", model), config)


# What torchaudio's wav2vec2_model, which builds HuBERT too, does not take.
_WAVLM_ONLY = ("encoder_num_buckets", "encoder_max_distance")


def build_torchaudio(config: TeacherConfig) -> Wav2Vec2Model:
    """``torchaudio.models.wavlm_model``, or ``wav2vec2_model`` for HuBERT too: both have the same layers."""
    from torchaudio.models import wav2vec2_model, wavlm_model

    arguments = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if field.name.startswith(("extractor_", "encoder_"))
    }
    if config.family == "wavlm":
        return wavlm_model(**arguments, aux_num_out=None)
    for name in _WAVLM_ONLY:
        del arguments[name]
    return wav2vec2_model(**arguments, aux_num_out=None)
