"""Model directories of Hugging Face ``transformers`` (WavLM, HuBERT, wav2vec 2.0) as torchaudio models.

The files are read directly, so ``transformers`` need not be installed: both libraries have the same layers,
and this module maps names.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from svmixer.fileio import read_json
from svmixer.inference.embedding_model import ModelError
from svmixer.models.io import read_safetensors
from svmixer.models.released import read_state_dict
from svmixer.models.teacher_config import TeacherConfig

_FAMILIES = ("wavlm", "hubert", "wav2vec2")
# Parts of a checkpoint that hidden states do not need: the mask of pretraining and the heads of other tasks.
_OTHER_PARTS = re.compile(
    r"masked_spec_embed$|label_embs_concat$|"
    r"(lm_head|final_proj|quantizer|project_q|project_hid|projector|classifier|tdnn|layer_weights|objective)\b"
)
# Weight normalisation: the names before and since parametrisations.
_WEIGHT_NORM = {
    "weight_g": "parametrizations.weight.original0",
    "weight_v": "parametrizations.weight.original1",
}


def read_config(directory: Path) -> TeacherConfig:
    """The teacher configuration that ``config.json`` and, where it is, ``preprocessor_config.json`` describe.

    Raises:
        ModelError: another family, or an option of it that has no counterpart here.
    """
    path = directory / "config.json"
    values: dict[str, Any] = read_json(path)
    family = values.get("model_type")
    if family not in _FAMILIES:
        raise ModelError(f"{path}: model_type '{family}' is not one of {', '.join(_FAMILIES)}")
    _refuse(path, values, "feat_proj_layer_norm", True)
    _refuse(path, values, "conv_pos_batch_norm", False)
    for key in ("feat_extract_activation", "hidden_act"):
        _refuse(path, values, key, "gelu")
    return TeacherConfig(
        family=family,
        normalise_waveform=_normalises(directory, values),
        **_builder_arguments(values, large=values.get("feat_extract_norm", "group") == "layer"),
    )


def read_tensors(directory: Path, config: TeacherConfig) -> dict[str, Tensor]:
    """The weights of the directory under torchaudio's names.

    Raises:
        ModelError: no weight file, or one that is damaged or holds more than tensors; no code of it is run.
    """
    if (directory / "model.safetensors").is_file():
        tensors = read_safetensors(directory / "model.safetensors")
    elif (directory / "pytorch_model.bin").is_file():
        tensors = read_state_dict(directory / "pytorch_model.bin")
    else:
        raise ModelError(f"{directory}: neither model.safetensors nor pytorch_model.bin is there")
    renamed = {}
    for key, value in tensors.items():
        key = key.removeprefix(f"{config.family}.")
        if not _OTHER_PARTS.match(key):
            renamed[_rename(key)] = value.float()
    if config.family == "wavlm":
        _join_attention(renamed)
    return renamed


def _refuse(path: Path, values: dict[str, Any], key: str, supported: Any) -> None:
    if values.get(key, supported) != supported:
        raise ModelError(f"{path}: {key} = {values[key]!r} is not supported, only {supported!r}")


def _normalises(directory: Path, values: dict[str, Any]) -> bool:
    preprocessor = directory / "preprocessor_config.json"
    if preprocessor.is_file():
        return bool(read_json(preprocessor).get("do_normalize", True))
    return values.get("feat_extract_norm", "group") == "layer"


def _builder_arguments(values: dict[str, Any], large: bool) -> dict[str, Any]:
    shapes = zip(
        values.get("conv_dim", [512] * 7),
        values.get("conv_kernel", [10, 3, 3, 3, 3, 2, 2]),
        values.get("conv_stride", [5, 2, 2, 2, 2, 2, 2]),
        strict=True,
    )
    return {
        "extractor_mode": "layer_norm" if large else "group_norm",
        "extractor_conv_layer_config": tuple(shapes),
        "extractor_conv_bias": values.get("conv_bias", False),
        "encoder_embed_dim": values.get("hidden_size", 768),
        "encoder_pos_conv_kernel": values.get("num_conv_pos_embeddings", 128),
        "encoder_pos_conv_groups": values.get("num_conv_pos_embedding_groups", 16),
        "encoder_num_layers": values.get("num_hidden_layers", 12),
        "encoder_num_heads": values.get("num_attention_heads", 12),
        "encoder_num_buckets": values.get("num_buckets", 320),
        "encoder_max_distance": values.get("max_bucket_distance", 800),
        "encoder_ff_interm_features": values.get("intermediate_size", 3072),
        "encoder_layer_norm_first": values.get("do_stable_layer_norm", False),
    }


def _rename(key: str) -> str:
    head, _, last = key.rpartition(".")
    key = f"{head}.{_WEIGHT_NORM[last]}" if last in _WEIGHT_NORM else key
    if key.startswith("feature_projection."):
        return f"encoder.{key}"
    if key.startswith("encoder."):
        return "encoder.transformer." + key.removeprefix("encoder.")
    return key


def _join_attention(tensors: dict[str, Tensor]) -> None:
    # torchaudio's WavLM keeps query, key and value in one matrix.
    for prefix in sorted({key.rsplit("q_proj.", 1)[0] for key in tensors if ".q_proj." in key}):
        for part in ("weight", "bias"):
            stacked = [tensors.pop(f"{prefix}{name}_proj.{part}") for name in "qkv"]
            tensors[f"{prefix}attention.in_proj_{part}"] = torch.cat(stacked)
            tensors[f"{prefix}attention.out_proj.{part}"] = tensors.pop(f"{prefix}out_proj.{part}")
