"""Configuration of a teacher: family, input convention, and the arguments of torchaudio's model builder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from svmixer.limits import at_least, below_one
from svmixer.models.frontend_config import FrontendConfig

Family = Literal["wavlm", "hubert", "wav2vec2"]

# (channels, kernel, stride) of the convolutions that all these families share.
CONV_LAYERS = ((512, 10, 5), *((512, 3, 2),) * 4, *((512, 2, 2),) * 2)


@dataclass(frozen=True)
class TeacherConfig:
    """``config.yaml`` of a teacher directory; ``extractor_*``, ``encoder_*`` as torchaudio has them."""

    # Family: wavlm, hubert or wav2vec2.
    family: Family = "wavlm"
    # Waveforms are scaled to zero mean and unit variance first (so do the Large models).
    normalise_waveform: bool = False
    # Sampling rate of the waveforms in Hz.
    sample_rate: int = 16000
    # group_norm: norm in the first convolution alone; layer_norm: in every one.
    extractor_mode: Literal["group_norm", "layer_norm"] = "group_norm"
    # (channels, kernel, stride) of each convolution.
    extractor_conv_layer_config: tuple[tuple[int, int, int], ...] = CONV_LAYERS
    # Whether the convolutions have a bias.
    extractor_conv_bias: bool = False
    # Hidden size D.
    encoder_embed_dim: int = 768
    # Dropout after the projection (for pretraining; a teacher never drops anything).
    encoder_projection_dropout: float = 0.0
    # Kernel width of the convolutional positional embedding, in frames.
    encoder_pos_conv_kernel: int = 128
    # Groups of the convolutional positional embedding.
    encoder_pos_conv_groups: int = 16
    # Transformer layers L.
    encoder_num_layers: int = 12
    # Attention heads.
    encoder_num_heads: int = 12
    # Buckets of WavLM's relative positions.
    encoder_num_buckets: int = 320
    # Distance in frames from which on WavLM's relative positions share the last bucket.
    encoder_max_distance: int = 800
    # Dropout on the attention weights (for pretraining).
    encoder_attention_dropout: float = 0.0
    # Width of the feed-forward layers.
    encoder_ff_interm_features: int = 3072
    # Dropout inside the feed-forward layers (for pretraining).
    encoder_ff_interm_dropout: float = 0.0
    # Dropout at the end of the feed-forward layers (for pretraining).
    encoder_dropout: float = 0.0
    # Layer norm in front of each part of a layer (the Large models) instead of behind it.
    encoder_layer_norm_first: bool = False
    # Probability of skipping a layer (for pretraining).
    encoder_layer_drop: float = 0.0

    def __post_init__(self) -> None:
        self._check_ranges()
        if self.encoder_embed_dim % self.encoder_num_heads:
            raise ValueError(
                f"encoder_embed_dim ({self.encoder_embed_dim}) is not a multiple of "
                f"encoder_num_heads ({self.encoder_num_heads})"
            )

    def _check_ranges(self) -> None:
        counts = ("embed_dim", "pos_conv_kernel", "pos_conv_groups", "num_layers", "num_heads", "num_buckets")
        at_least(self, 1, "sample_rate", *(f"encoder_{name}" for name in counts))
        at_least(self, 1, "encoder_max_distance", "encoder_ff_interm_features")
        dropouts = ("projection_dropout", "attention_dropout", "ff_interm_dropout", "dropout", "layer_drop")
        below_one(self, *(f"encoder_{name}" for name in dropouts))
        if self.encoder_embed_dim % self.encoder_pos_conv_groups:
            raise ValueError(
                f"encoder_embed_dim ({self.encoder_embed_dim}) is not a multiple of "
                f"encoder_pos_conv_groups ({self.encoder_pos_conv_groups})"
            )
        convolutions = self.extractor_conv_layer_config
        if not convolutions or min(map(min, convolutions)) < 1:
            raise ValueError("extractor_conv_layer_config: one convolution at least, of numbers from 1 on")

    @property
    def hidden(self) -> int:
        """Hidden size D."""
        return self.encoder_embed_dim

    @property
    def layers(self) -> int:
        """Transformer layers L; there are L + 1 hidden states."""
        return self.encoder_num_layers

    @property
    def frontend(self) -> FrontendConfig:
        """The convolutions as the student describes its own: frames for samples, hop, receptive field."""
        channels, kernels, strides = zip(*self.extractor_conv_layer_config, strict=True)
        return FrontendConfig(channels, kernels, strides, self.extractor_mode)
