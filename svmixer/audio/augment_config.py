"""Configuration of the augmentation; nothing here imports what it takes to compute it."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, field, replace
from typing import Literal

from svmixer.audio.dumpset import RATE
from svmixer.limits import between, positive

# dB of the speech over what is mixed in, lowest and highest of each kind
SNR = {"babble": (13.0, 20.0), "music": (5.0, 15.0), "noise": (0.0, 15.0), "coloured": (5.0, 20.0)}


@dataclass(frozen=True)
class SourceConfig:
    """One kind of augmentation; a crop that is augmented gets exactly one, drawn by weight."""

    # rir (convolve with a room impulse response), babble (4–7 utterances of other speakers), music, noise,
    # coloured (white, pink or brown noise), clip (at 0.3–0.9 of the peak)
    kind: Literal["rir", "babble", "music", "noise", "coloured", "clip"]
    weight: float = 1.0  # relative frequency among the sources
    # rir, music, noise: a dump, or a wav.scp (or the directory with it) of 16 kHz recordings;
    # babble: a dump, or empty for the training set; {dumpdir} stands for augment.dumpdir
    path: str = ""
    # lowest and highest SNR in dB; default: babble 13–20, music 5–15, noise 0–15, coloured 5–20
    snr: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.weight < math.inf:
            raise ValueError(f"weight: must be positive, found {self.weight}")
        if self.kind in ("rir", "music", "noise") and not self.path:
            raise ValueError(f"path: '{self.kind}' needs a list of recordings")
        if self.kind in ("coloured", "clip") and self.path:
            raise ValueError(f"path: '{self.kind}' reads no list")
        if self.snr is not None:
            if self.kind not in SNR:
                raise ValueError(f"snr: '{self.kind}' mixes nothing in")
            _check_range("snr", self.snr)


@dataclass(frozen=True)
class Rooms:
    """Shoebox rooms that a family of channels has responses of, drawn uniformly: lowest and highest."""

    rt60: tuple[float, float]  # seconds until the sound has fallen by 60 dB
    distance: tuple[float, float]  # metres from talker to microphone
    length: tuple[float, float]  # metres
    width: tuple[float, float]
    height: tuple[float, float]


@dataclass(frozen=True)
class Channel:
    """A family of channels: what all of its members have in common."""

    # train: for augmentation; test: held out, no training hears it, for the condition across channels
    use: Literal["train", "test"]
    codec: str = ""  # of svmixer.audio.codecs; empty: none
    low_hz: tuple[float, float] = (50.0, 150.0)  # lower edge of the band, lowest and highest
    high_hz: tuple[float, float] = (6500.0, 7500.0)  # upper edge
    packets: bool = False  # packets of 20 ms, which may be lost
    rooms: Rooms | None = None  # where the microphone stands far away


# Telephone band (ITU-T G.712: 300 to 3400 Hz) with the tolerance of real lines, lower and upper edge.
_TELEPHONE = ((200.0, 350.0), (3200.0, 3600.0))

# Every family, and which of them trainings may use. docs/channels.md shows the same table.
CHANNELS = {
    "mulaw": Channel("train", "mulaw", *_TELEPHONE),
    "alaw": Channel("train", "alaw", *_TELEPHONE, packets=True),
    "gsm": Channel("train", "gsm", *_TELEPHONE, packets=True),
    "g722": Channel("train", "g722", high_hz=(6500.0, 7200.0), packets=True),
    "mp3": Channel("train", "mp3", low_hz=(20.0, 100.0)),
    "room": Channel("train", rooms=Rooms((0.2, 0.6), (0.5, 3.0), (3.0, 8.0), (3.0, 6.0), (2.4, 3.2))),
    "amrnb": Channel("test", "amrnb", *_TELEPHONE, packets=True),
    "opus": Channel("test", "opus", packets=True),
    "hall": Channel("test", rooms=Rooms((0.8, 1.2), (3.0, 6.0), (8.0, 14.0), (6.0, 12.0), (3.0, 5.0))),
}
TRAINING_CHANNELS = tuple(name for name, channel in CHANNELS.items() if channel.use == "train")


def channel_name(name: str) -> str:
    """``name``, if :data:`CHANNELS` has it.

    Raises:
        ValueError: it has not; the message has the nearest name.
    """
    if name not in CHANNELS:
        nearest = difflib.get_close_matches(name, CHANNELS, n=1, cutoff=0.0)[0]
        raise ValueError(f"no channel family '{name}'; did you mean '{nearest}'?")
    return name


@dataclass(frozen=True)
class ChannelConfig:
    """Telephone and far-field channels that a crop goes through, all drawn anew for each crop."""

    prob: float = 0.0  # probability that a crop goes through one channel, after the sources
    # Families of channels, drawn equally often; those that are held out for the test condition are refused.
    families: tuple[str, ...] = TRAINING_CHANNELS
    # dB; standard deviation of the gain of handset, loudspeaker or microphone at each octave
    response_db: tuple[float, float] = (1.0, 6.0)
    agc_prob: float = 0.3  # probability of automatic gain control
    agc_db: tuple[float, float] = (6.0, 20.0)  # the most by which it raises or lowers the level
    # dB below full scale; root mean square of what comes to the codec
    level_db: tuple[float, float] = (-36.0, -16.0)
    clip_prob: float = 0.1  # probability of clipping in front of the codec
    clip_ratio: tuple[float, float] = (0.3, 0.9)  # of the peak, where it clips
    loss_prob: float = 0.3  # probability that packets are lost, where a family has packets
    loss_share: tuple[float, float] = (0.01, 0.1)  # share of the packets that is lost
    loss_burst: tuple[float, float] = (1.0, 3.0)  # mean number of packets that are lost one after another

    def __post_init__(self) -> None:
        between(self, 0.0, 1.0, "prob", "agc_prob", "clip_prob", "loss_prob", "loss_share", "clip_ratio")
        if not self.families:
            raise ValueError("families: none given")
        if len(set(self.families)) < len(self.families):
            raise ValueError(f"families: one is given twice: {', '.join(self.families)}")
        for name in self.families:
            try:
                use = CHANNELS[channel_name(name)].use
            except ValueError as error:
                raise ValueError(f"families: {error}") from None
            if use != "train":
                names = ", ".join(TRAINING_CHANNELS)
                raise ValueError(f"families: {name} is held out for the test condition; take some of {names}")
        for name in ("response_db", "agc_db", "level_db", "clip_ratio", "loss_share", "loss_burst"):
            _check_range(name, getattr(self, name))
        between(self, 0.0, 40.0, "response_db", "agc_db")
        between(self, -60.0, 0.0, "level_db")
        positive(self, "clip_ratio")
        between(self, 1.0, 50.0, "loss_burst")
        if self.loss_share[1] > 0.5:
            raise ValueError(f"loss_share: must not exceed 0.5, found {self.loss_share[1]:g}")


@dataclass(frozen=True)
class AugmentConfig:
    """What happens to the student's crops."""

    prob: float = 0.8  # probability that a crop gets one of the sources
    # the sources, each with kind, weight, path and snr; by default the ones that need no lists
    sources: tuple[SourceConfig, ...] = (SourceConfig("coloured"), SourceConfig("clip"))
    # Telephone and far-field channels.
    channel: ChannelConfig = field(default_factory=ChannelConfig)
    eq_prob: float = 0.0  # probability that the spectrum is bent afterwards (against cues of the channel)
    eq_db: float = 6.0  # standard deviation of the gain at each octave
    codec_prob: float = 0.0  # probability of one codec afterwards: µ-law, GSM, ADPCM, Vorbis, MP3
    band_prob: float = 0.0  # probability that the band is limited afterwards (likewise)
    band_low_hz: tuple[float, float] = (0.0, 300.0)  # lowest and highest lower edge
    band_high_hz: tuple[float, float] = (3000.0, 7500.0)  # lowest and highest upper edge
    level_prob: float = 0.0  # probability that the level is changed afterwards
    level_db: tuple[float, float] = (-20.0, 6.0)  # lowest and highest change
    dumpdir: str = "dump"  # folder of the dumps, for paths of sources; stages 3 and 4 give their --dumpdir

    def __post_init__(self) -> None:
        # At once: what is saved beside results then names the lists themselves.
        object.__setattr__(self, "sources", tuple(self._placed(source) for source in self.sources))
        for name in ("prob", "eq_prob", "codec_prob", "band_prob", "level_prob"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}: must be between 0 and 1, found {getattr(self, name)}")
        if not 0.0 <= self.eq_db < math.inf:
            raise ValueError(f"eq_db: must not be negative, found {self.eq_db}")
        if self.prob > 0.0 and not self.sources:
            raise ValueError("sources: none given, and prob is not 0")
        for name in ("band_low_hz", "band_high_hz", "level_db"):
            _check_range(name, getattr(self, name))
        if not 0.0 <= self.band_low_hz[0] <= self.band_low_hz[1] < self.band_high_hz[0]:
            raise ValueError(f"band_low_hz: must lie between 0 and band_high_hz, found {self.band_low_hz}")
        if not self.band_high_hz[1] <= RATE / 2:
            raise ValueError(f"band_high_hz: must not exceed {RATE // 2}, found {self.band_high_hz}")

    def _placed(self, source: SourceConfig) -> SourceConfig:
        return replace(source, path=source.path.replace("{dumpdir}", self.dumpdir))


def _check_range(name: str, limits: tuple[float, float]) -> None:
    if not -math.inf < limits[0] <= limits[1] < math.inf:
        raise ValueError(f"{name}: expected lowest and highest, found {limits[0]:g}, {limits[1]:g}")
