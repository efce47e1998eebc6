"""Configuration of a speaker model: front end, student encoder and backend, validated when built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from svmixer.limits import at_least, between, not_negative
from svmixer.models.frontend_config import FrontendConfig
from svmixer.models.teacher_config import TeacherConfig

RedimnetName = Literal["b0", "b1", "b2", "b3", "b4", "b5", "b6"]
_FORMER_REDIMNET = {"bins", "channels", "strides", "blocks", "reduction", "kernels", "attention_channels"}


@dataclass(frozen=True)
class StudentConfig:
    """The encoder that a teacher is distilled into."""

    # Convolutions over the waveform.
    frontend: FrontendConfig = field(default_factory=FrontendConfig)
    # Kind of encoder layer, by its name in the registry of svmixer/models/students: svmixer or, to compare,
    # transformer, mlp_mixer, cycle_mlp, conv_mixer.
    encoder: str = "svmixer"
    # Parts of SV-Mixer that stand in a vanilla mixer layer (encoder svmixer): fewer for an ablation.
    mixing: tuple[Literal["lgm", "msm", "gcm"], ...] = ("lgm", "msm", "gcm")
    # Encoder layers L; the student returns L + 1 hidden states.
    layers: int = 5
    # Hidden size H.
    hidden: int = 1024
    # Samples of one window: 3 s at 16 kHz. It fixes the number of frames T of the mixing over time.
    window: int = 48000
    # Channels in a group of the channel mixing; there are G = hidden / group_width groups.
    group_width: int = 128
    # Width of every inner layer as a multiple of its input.
    expansion: int = 4
    # Dropout after the projection and on the residual branches.
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ("layers", "hidden", "group_width", "expansion"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")
        if self.hidden % self.group_width:
            raise ValueError(f"hidden ({self.hidden}) is not a multiple of group_width ({self.group_width})")
        if self.encoder != "svmixer" and set(self.mixing) != {"lgm", "msm", "gcm"}:
            raise ValueError(f"mixing is read by encoder svmixer alone, not by {self.encoder}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), found {self.dropout}")
        if self.frames < 2:
            least = self.frontend.num_samples(2)
            raise ValueError(
                f"window ({self.window} samples) gives less than two frames; it takes {least} samples"
            )

    @property
    def frames(self) -> int:
        """Frames T of one window."""
        return self.frontend.num_frames(self.window)

    @property
    def groups(self) -> int:
        """Groups G of the channel mixing."""
        return self.hidden // self.group_width


@dataclass(frozen=True)
class EcapaConfig:
    """Sizes of the ECAPA-TDNN backend."""

    # Channels of the stem and of the three SE-Res2 blocks.
    channels: int = 512
    # Channels of the attention inside the statistics pooling.
    attention_channels: int = 256
    # Channels of the squeeze-excitation bottleneck.
    se_bottleneck: int = 128
    # Parts that a Res2 convolution splits its channels into.
    scale: int = 4
    # Every channel of the input is normalised over time first, which takes its mean and level away.
    instance_norm: bool = True
    # In training Gaussian noise is added to the input; its standard deviation is drawn from this range.
    noise: tuple[float, float] = (0.001, 0.01)

    def __post_init__(self) -> None:
        for name in ("channels", "attention_channels", "se_bottleneck"):
            if getattr(self, name) < 1:
                raise ValueError(f"ecapa: {name} must be at least 1, found {getattr(self, name)}")
        if self.scale < 2 or self.channels % self.scale:
            raise ValueError(
                f"ecapa: scale ({self.scale}) must be at least 2 and divide channels ({self.channels})"
            )
        if not 0 <= self.noise[0] <= self.noise[1]:
            raise ValueError(f"ecapa: noise must be two values, 0 <= low <= high, found {self.noise}")


@dataclass(frozen=True)
class RedimnetConfig:
    """Size of the ReDimNet backend."""

    # Published size, small to large; what each is: svmixer/models/backends/redimnet_parts.py.
    size: RedimnetName = "b2"


@dataclass(frozen=True)
class StatisticsConfig:
    """What the statistics backend pools."""

    # States whose mean and deviation stand side by side; none: those of a weighted sum of all states.
    states: tuple[int, ...] = ()
    # Covariances between the first so many channels of state 0; 0: none.
    covariance: int = 0
    # A linear map behind the statistics; without it the embedding has as many values as there are statistics.
    linear: bool = True

    def __post_init__(self) -> None:
        if min(self.states, default=0) < 0 or len(set(self.states)) != len(self.states):
            raise ValueError(f"statistics: states must be different numbers from 0, found {self.states}")
        if self.covariance < 0:
            raise ValueError(f"statistics: covariance must be at least 0, found {self.covariance}")


def statistics_size(hidden: int, states: int, covariance: int) -> int:
    """Values of means and deviations of so many states, and of covariances between so many channels."""
    return 2 * hidden * states + covariance * (covariance + 1) // 2


@dataclass(frozen=True)
class EspnetConfig:
    """Parts of a backend that is made of ESPnet's modules."""

    # Features that the weighted sum of the states is mapped to linearly; 0: the encoder takes it as it is.
    features: int = 0
    # How ESPnet's pooling makes one vector of the frames.
    pooling: Literal["chn_attn_stat", "stats", "mean"] = "chn_attn_stat"
    # Which of ESPnet's projectors makes the embedding of that vector.
    projector: Literal["rawnet3", "ska_tdnn", "xvector"] = "rawnet3"
    # Options of the encoder by the names that the installed ESPnet gives them; the others keep its defaults.
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.features < 0:
            raise ValueError(f"espnet: features must be at least 0, found {self.features}")


@dataclass(frozen=True)
class BackendConfig:
    """From the stack of hidden states to one embedding."""

    # Kind of backend, by its name in the registry of svmixer/models/backends.
    name: str = "ecapa"
    # Size of the embedding.
    embedding: int = 192
    # Sizes of the ECAPA-TDNN backend (read when name is ecapa).
    ecapa: EcapaConfig = field(default_factory=EcapaConfig)
    # Size of the ReDimNet backend (read when name is redimnet).
    redimnet: RedimnetConfig = field(default_factory=RedimnetConfig)
    # What the statistics backend pools (read when name is statistics).
    statistics: StatisticsConfig = field(default_factory=StatisticsConfig)
    # Parts of an ESPnet backend (read when name begins with espnet_).
    espnet: EspnetConfig = field(default_factory=EspnetConfig)

    def __post_init__(self) -> None:
        if self.embedding < 1:
            raise ValueError(f"embedding must be at least 1, found {self.embedding}")

    @classmethod
    def from_former(cls, values: dict[str, Any]) -> dict[str, Any]:
        """What a file of an earlier version says, without the sizes that the former ReDimNet backend had.

        Every model's file has them, whatever its backend is.

        Raises:
            ValueError: its backend is that one.
        """
        sizes = values.get("redimnet")
        if not isinstance(sizes, dict) or sizes.keys() != _FORMER_REDIMNET:
            return values
        if values.get("name") == "redimnet":
            raise ValueError(
                "redimnet: bins, channels, strides and so on are of the former backend of this name; in its "
                "place is the published ReDimNet now, and its models do not load: train one with "
                "redimnet.size"
            )
        return {key: value for key, value in values.items() if key != "redimnet"}


@dataclass(frozen=True)
class WhitenedStatisticsConfig:
    """Statistics of the states and of log-mel bands that stand beside the backend's embedding, whitened."""

    # Their share of the cosine of two embeddings; 0: there are none.
    share: float = 0.0
    # States whose mean and deviation they are.
    states: tuple[int, ...] = (0, 1, 2)
    # Covariances between the first so many channels of state 0; 0: none.
    covariance: int = 0
    # Log-mel bands of the waveform, whatever the front end is, whose mean and deviation they are, too.
    bands: int = 0
    # Upper edge of these bands in Hz: below 3700 a telephone changes little.
    below_hz: float = 3700.0

    def __post_init__(self) -> None:
        not_negative(self, "bands")
        between(self, 100.0, 8000.0, "below_hz")
        if not 0 <= self.share < 1:
            raise ValueError(f"share must be at least 0 and below 1, found {self.share}")
        if not self.states and not self.bands:
            raise ValueError("states: at least one, or bands")
        StatisticsConfig(self.states, self.covariance)

    def size(self, hidden: int) -> int:
        """How many values they are, with states of ``hidden`` channels."""
        return statistics_size(hidden, len(self.states), self.covariance) + 2 * self.bands


@dataclass(frozen=True)
class ModelConfig:
    """A whole speaker model."""

    # Student encoder: a section or the name of a YAML file (conf/student).
    student: StudentConfig = field(default_factory=StudentConfig)
    # Speaker backend: a section or the name of a YAML file (conf/backend).
    backend: BackendConfig = field(default_factory=BackendConfig)
    # Embeddings pass a whitening of their scatter within training speakers, fitted after every epoch.
    whiten: bool = False
    # Statistics of the states beside the backend's embedding.
    statistics: WhitenedStatisticsConfig = field(default_factory=WhitenedStatisticsConfig)
    # Sampling rate of the waveforms in Hz.
    sample_rate: int = 16000
    # A whole WavLM, HuBERT or wav2vec 2.0 in the student's place; only the student's window is read then.
    teacher: TeacherConfig | None = None
    # The finished model that this one is but for a whitening behind its embedding, fitted on other speakers
    # (`adapt` of a training); empty: it is none.
    adapted_from: str = ""

    def __post_init__(self) -> None:
        at_least(self, 1, "sample_rate")
        if self.teacher is not None and self.frames < 2:
            least = self.frontend.num_samples(2)
            raise ValueError(
                f"student.window ({self.window} samples) gives less than two frames of the teacher; "
                f"it takes {least} samples"
            )

    @property
    def window(self) -> int:
        """Samples of one window."""
        return self.student.window

    @property
    def frontend(self) -> FrontendConfig:
        """The encoder's convolutions."""
        return self.teacher.frontend if self.teacher is not None else self.student.frontend

    @property
    def frames(self) -> int:
        """Frames T of one window."""
        return self.frontend.num_frames(self.window)

    @property
    def layers(self) -> int:
        """Layers L of the encoder; there are L + 1 hidden states."""
        return self.teacher.layers if self.teacher is not None else self.student.layers

    @property
    def hidden(self) -> int:
        """Hidden size H of the encoder."""
        return self.teacher.hidden if self.teacher is not None else self.student.hidden

    @property
    def embedding_size(self) -> int:
        """Values D of an embedding."""
        if not self.statistics.share:
            return self.backend.embedding
        return self.backend.embedding + self.statistics.size(self.hidden)
