"""Configuration of the convolutions in front of an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class FrontendConfig:
    """Convolutions over the waveform; by default those of wav2vec 2.0, HuBERT and WavLM (hop 20 ms)."""

    # Output channels of each convolution, first to last.
    channels: tuple[int, ...] = (512, 512, 512, 512, 512, 512, 512)
    # Kernel width of each convolution, in input steps.
    kernels: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    # Stride of each convolution.
    strides: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    # group_norm: over time in the first layer alone; layer_norm: over channels in every layer.
    norm: Literal["group_norm", "layer_norm"] = "group_norm"
    # How the first layer starts: random, or mel (a filterbank, see svmixer/models/frontend.py; it wants a
    # kernel of about 25 ms and a multiple of four channels). log_mel: in its place stand logarithms of the
    # energies in mel bands, one a channel, over windows of the kernel's width; they are not trained.
    first_layer: Literal["random", "mel", "log_mel"] = "random"
    # Level that every window is brought to in front of the first layer: root mean square in dB of full scale;
    # null: windows are taken as they are, which a group norm over time makes no difference to.
    level: float | None = None

    def __post_init__(self) -> None:
        if self.level is not None and not -60.0 <= self.level <= 0.0:
            raise ValueError(f"frontend: level must be -60 to 0 dB of full scale, found {self.level}")
        if not len(self.channels) == len(self.kernels) == len(self.strides) > 0:
            raise ValueError(
                f"frontend: channels, kernels and strides need the same number of values, one a layer, found "
                f"{len(self.channels)}, {len(self.kernels)}, {len(self.strides)}"
            )
        if min(*self.channels, *self.kernels, *self.strides) < 1:
            raise ValueError("frontend: channels, kernels and strides must be at least 1")
        if self.first_layer == "log_mel" and self.norm == "group_norm":
            raise ValueError(
                "frontend: log_mel has no first layer to normalise over time; it takes norm layer_norm"
            )
        if self.first_layer == "mel" and self.channels[0] % 4:
            raise ValueError(
                "frontend: first_layer mel takes four phases a band, so channels[0] must be a multiple of 4, "
                f"found {self.channels[0]}"
            )

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        product = 1
        for stride in self.strides:
            product *= stride
        return product

    @property
    def receptive_field(self) -> int:
        """Samples that one frame sees."""
        return self.num_samples(1)

    def num_frames(self, num_samples: int) -> int:
        """Frames that come out for ``num_samples`` samples; 0 for fewer than the receptive field."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            num_samples = (num_samples - kernel) // stride + 1 if num_samples >= kernel else 0
        return num_samples

    def num_samples(self, num_frames: int) -> int:
        """The fewest samples that give ``num_frames`` frames."""
        for kernel, stride in zip(reversed(self.kernels), reversed(self.strides), strict=True):
            num_frames = (num_frames - 1) * stride + kernel
        return num_frames
