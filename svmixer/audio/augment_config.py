"""Configuration of the augmentation; nothing here imports what it takes to compute it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from svmixer.audio.dumpset import RATE

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
class AugmentConfig:
    """What happens to the student's crops."""

    prob: float = 0.8  # probability that a crop gets one of the sources
    # the sources, each with kind, weight, path and snr; by default the ones that need no lists
    sources: tuple[SourceConfig, ...] = (SourceConfig("coloured"), SourceConfig("clip"))
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
