"""Teachers of toy size with random weights."""

import torch

from svmixer.models.teacher_config import TeacherConfig
from svmixer.models.teacher_encoder import build_torchaudio

CONV_LAYERS = ((6, 10, 5), (8, 3, 2), (10, 3, 2), (8, 3, 2), (6, 3, 2), (8, 2, 2), (12, 2, 2))

SIZES = {
    "extractor_conv_layer_config": CONV_LAYERS,
    "encoder_embed_dim": 24,
    "encoder_pos_conv_kernel": 8,
    "encoder_pos_conv_groups": 4,
    "encoder_num_layers": 3,
    "encoder_num_heads": 4,
    "encoder_ff_interm_features": 32,
}


def tiny_config(**values):
    return TeacherConfig(**{**SIZES, **values})


def random_model(config):
    """A torchaudio model with every parameter moved away from its first value."""
    model = build_torchaudio(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model
