"""From a teacher's configuration to torchaudio's model, with random weights."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from svmixer.teachers.config import TeacherConfig

if TYPE_CHECKING:
    from torchaudio.models import Wav2Vec2Model

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
