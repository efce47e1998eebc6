"""Augmentation of training crops: rooms, babble, music, noise, coloured noise, clipping;
then a telephone or far-field channel, spectrum, codec, band and level.

What happens to a crop depends on the crop, the lists and the generator passed to the call, on nothing else.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from svmixer.audio import effects
from svmixer.audio.augment_config import SNR, AugmentConfig, SourceConfig
from svmixer.audio.channels import ChannelSimulator
from svmixer.audio.dumpset import DumpSet
from svmixer.audio.noises import DumpRecordings, Recordings, SpeakerDraw, excerpt, open_recordings
from svmixer.config import ConfigError

Effect = Callable[[np.ndarray, np.random.Generator, "str | None"], np.ndarray]

_BABBLE_UTTERANCES = (4, 7)  # fewest and most
_CLIP_RATIO = (0.3, 0.9)  # of the crop's peak


class Augmenter:
    """Applies an :class:`AugmentConfig`. Picklable; lists are read here, audio at the draws.

    Args:
        config: the sources and how often they are drawn.
        babble: the training set, for a babble source without a path.

    Raises:
        ConfigError: a source's list is missing or not fit for it (the message names source and path), or a
            channel's codec is not installed.
        ListError: a list is broken.
    """

    def __init__(self, config: AugmentConfig, babble: DumpSet | None = None) -> None:
        self.config = config
        self._effects: list[Effect] = []
        for number, source in enumerate(config.sources):
            try:
                self._effects.append(_build_effect(source, babble))
            except ConfigError as error:
                raise ConfigError(f"sources[{number}] ({source.kind}): {error}") from None
        self._channel = ChannelSimulator(config.channel) if config.channel.prob else None
        self._cumulative = list(itertools.accumulate(source.weight for source in config.sources))

    def __call__(self, wave: np.ndarray, rng: np.random.Generator, speaker: str | None = None) -> np.ndarray:
        """Augment one crop.

        Args:
            wave: np.float32 (N,) at 16 kHz; never written to, and may be what is returned.
            rng: the only source of chance.
            speaker: the crop's speaker as its corpus names it, whose utterances babble leaves out.

        Returns:
            np.float32 (N,), aligned with ``wave``. Samples may exceed 1.

        Raises:
            AudioError: a listed recording cannot be read (the message names list and utterance).
        """
        config = self.config
        if rng.random() < config.prob:
            # Rounding may bring the product up to the last sum itself; the search leaves that one out.
            place = bisect.bisect(self._cumulative[:-1], rng.random() * self._cumulative[-1])
            wave = self._effects[place](wave, rng, speaker)
        # What is off draws nothing: an option that is added later changes no other one's results.
        if self._channel is not None and rng.random() < config.channel.prob:
            wave = self._channel(wave, rng)
        if config.eq_prob and rng.random() < config.eq_prob:
            wave = effects.equalise(wave, rng.normal(0.0, config.eq_db, 8))
        if config.codec_prob and rng.random() < config.codec_prob:
            wave = effects.through_codec(wave, list(effects.CODECS)[int(rng.integers(len(effects.CODECS)))])
        if rng.random() < config.band_prob:
            low, high = rng.uniform(*config.band_low_hz), rng.uniform(*config.band_high_hz)
            wave = effects.limit_band(wave, low, high)
        if rng.random() < config.level_prob:
            wave = wave * np.float32(10.0 ** (rng.uniform(*config.level_db) / 20.0))
        return wave


@dataclass(frozen=True)
class _Room:
    """Convolution with a whole room impulse response of a list."""

    recordings: Recordings

    def __call__(self, wave: np.ndarray, rng: np.random.Generator, speaker: str | None) -> np.ndarray:
        total, read = self.recordings.open(int(rng.integers(len(self.recordings))))
        return effects.reverberate(wave, read(0, total))


@dataclass(frozen=True)
class _Noise:
    """A stretch of one recording (music, noise), mixed in."""

    recordings: Recordings
    snr: tuple[float, float]

    def __call__(self, wave: np.ndarray, rng: np.random.Generator, speaker: str | None) -> np.ndarray:
        snr = rng.uniform(*self.snr)
        noise = excerpt(self.recordings, int(rng.integers(len(self.recordings))), len(wave), rng)
        return effects.mix_at_snr(wave, noise, snr)


class _Babble:
    """Several utterances of other speakers, equally loud; the SNR is that of their sum."""

    def __init__(self, recordings: DumpRecordings, snr: tuple[float, float]) -> None:
        speakers = recordings.dump.speakers
        self.recordings, self.snr = recordings, snr
        # Without utt2spk (speech of a noise corpus) nobody has to be left out.
        self.draw = SpeakerDraw(speakers or [""] * len(recordings))
        if speakers is not None and self.draw.num_speakers < 2:
            raise ConfigError(f"all utterances are of speaker {speakers[0]}: babble needs others")

    def __call__(self, wave: np.ndarray, rng: np.random.Generator, speaker: str | None) -> np.ndarray:
        snr = rng.uniform(*self.snr)
        babble = np.zeros_like(wave)
        for _ in range(int(rng.integers(*_BABBLE_UTTERANCES, endpoint=True))):
            voice = excerpt(self.recordings, self.draw(rng, speaker), len(wave), rng)
            loudness = effects.power(voice)
            if loudness > 0.0:
                babble += voice * np.float32(loudness**-0.5)
        return effects.mix_at_snr(wave, babble, snr)


@dataclass(frozen=True)
class _Coloured:
    """White, pink or brown noise, equally often."""

    snr: tuple[float, float]

    def __call__(self, wave: np.ndarray, rng: np.random.Generator, speaker: str | None) -> np.ndarray:
        snr = rng.uniform(*self.snr)
        colour = list(effects.COLOURS)[int(rng.integers(len(effects.COLOURS)))]
        return effects.mix_at_snr(wave, effects.coloured_noise(len(wave), colour, rng), snr)


def _clip(wave: np.ndarray, rng: np.random.Generator, speaker: str | None) -> np.ndarray:
    return effects.clip_peaks(wave, rng.uniform(*_CLIP_RATIO))


def _build_effect(source: SourceConfig, babble: DumpSet | None) -> Effect:
    snr = source.snr or SNR.get(source.kind)
    if source.kind == "clip":
        return _clip
    if source.kind == "coloured":
        return _Coloured(snr)
    if source.kind == "babble":
        return _Babble(_babble_recordings(source.path, babble), snr)
    recordings = open_recordings(source.path)
    return _Room(recordings) if source.kind == "rir" else _Noise(recordings, snr)


def _babble_recordings(path: str, training_set: DumpSet | None) -> DumpRecordings:
    if not path:
        if training_set is None:
            raise ConfigError("path is empty, and there is no training set to take babble from")
        return DumpRecordings(training_set)
    recordings = open_recordings(path)
    if not isinstance(recordings, DumpRecordings):
        raise ConfigError(f"{path} is no dump (utt2num_samples is missing): run.sh --stage dump makes one")
    return recordings
