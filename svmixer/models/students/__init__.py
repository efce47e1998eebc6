"""Encoder layers of the students, by ``StudentConfig.encoder``: SV-Mixer and those it is compared with.

Every layer maps ``(B, T, H)`` to ``(B, T, H)`` and carries its own norms and residuals.
"""

from __future__ import annotations

from torch import nn

from svmixer.models.config import StudentConfig
from svmixer.models.registry import Registry
from svmixer.models.students.comparisons import CycleMlpLayer, TransformerLayer, conv_mixer_layer
from svmixer.models.students.mixer import mixer_layer, mlp_mixer_layer

# A builder takes (config: StudentConfig, last: bool); last says that nothing but the final norm follows.
ENCODER_LAYERS = Registry("encoder")
ENCODER_LAYERS.register("svmixer")(mixer_layer)
ENCODER_LAYERS.register("transformer")(TransformerLayer)
ENCODER_LAYERS.register("mlp_mixer")(mlp_mixer_layer)
ENCODER_LAYERS.register("cycle_mlp")(CycleMlpLayer)
ENCODER_LAYERS.register("conv_mixer")(conv_mixer_layer)


def build_layers(config: StudentConfig) -> nn.ModuleList:
    """The L encoder layers that ``config`` names."""
    build = ENCODER_LAYERS[config.encoder]
    return nn.ModuleList(build(config, index == config.layers - 1) for index in range(config.layers))
