"""Embeddings of a dump in some condition (band, channels), one job of several, with progress."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from svmixer.audio.augment_config import ChannelConfig, channel_name
from svmixer.audio.checks import Downmix
from svmixer.audio.errors import about
from svmixer.errors import SvmixerError
from svmixer.inference.utterance import Source, UtteranceError
from svmixer.log import Progress, get_logger
from svmixer.scoring.vectors import EmbeddingError

if TYPE_CHECKING:
    from svmixer.audio.dumpset import DumpSet

logger = get_logger(__name__)
SAMPLE_RATE = 16000
# Width of the transition band below the edge, Hz.
TRANSITION_HZ = 200.0
# Attenuation from the edge on, dB: under the rounding noise of 16-bit audio, so that nothing can be amplified
# back.
STOPBAND_DB = 100.0
Side = Literal["enrol", "test", "both"]


@dataclass(frozen=True)
class AcrossChannels:
    """Which family of channels an utterance comes through, and the channel itself.

    An utterance has one channel of a family, whatever else is scored: its seed is made of the names of both.
    Callable as (np.float32 (N,) at 16 kHz, utterance) → np.float32 (N,).
    """

    # Families of svmixer.audio.augment_config.CHANNELS for the two sides of a trial.
    enrol: str
    test: str
    # The side that utterances are embedded for; both: about half of them, by name, each way, for what a
    # control or a cohort has of training speech.
    side: Side

    def family(self, utterance: str) -> str:
        """The family that this utterance comes through."""
        if self.side == "both":
            return (self.enrol, self.test)[_number(utterance) % 2]
        return self.enrol if self.side == "enrol" else self.test

    def __call__(self, wave: np.ndarray, utterance: str) -> np.ndarray:
        from svmixer.audio.channels import through_channel

        family = self.family(utterance)
        rng = np.random.default_rng([_number(family), _number(utterance)])
        return through_channel(wave, family, ChannelConfig(), rng)

    def prepare(self) -> None:
        """See :func:`svmixer.audio.channels.prepare`, for both families.

        Raises:
            ConfigError: a codec is not installed.
        """
        from svmixer.audio.channels import prepare

        for family in {self.enrol, self.test}:
            prepare(family)


def parse_channels(text: str, side: Side) -> AcrossChannels:
    """``ENROL:TEST``, two families of channels.

    Raises:
        ValueError: another form, or a name that is no family's (the nearest one is in the message).
    """
    enrol, colon, test = text.partition(":")
    if not colon:
        raise ValueError(f"expected ENROL:TEST, two channel families, as amrnb:opus, found '{text}'")
    return AcrossChannels(channel_name(enrol), channel_name(test), side)


def _number(name: str) -> int:
    """Of a name, the same in every process and version of Python."""
    return zlib.crc32(name.encode())


def dump_source(
    dump: DumpSet,
    index: int,
    lowpass_hz: float = 0.0,
    max_seconds: float = 0.0,
    channels: AcrossChannels | None = None,
) -> Source:
    """Utterance ``index`` of a dump, read piece by piece.

    Args:
        dump: 16 kHz waveforms.
        index: position in ``dump.utterances``.
        lowpass_hz: everything from this frequency on is filtered out; 0 = no filter.
        max_seconds: of longer utterances this much from the middle, as if there were no more; 0 = all.
        channels: what it comes through, without a filter; it is then in memory as a whole.
    """
    total, name = int(dump.num_samples[index]), dump.utterances[index]
    downmix = Downmix()
    length = min(total, max(1, round(max_seconds * SAMPLE_RATE))) if max_seconds else total
    offset = (total - length) // 2

    @lru_cache(maxsize=1)
    def through_channel() -> np.ndarray:
        return channels(downmix(dump.read(index, offset, length)[None]), name)

    def read(first: int, count: int) -> np.ndarray:
        if channels is not None:
            return through_channel()[first : first + count]
        if not lowpass_hz:
            return downmix(dump.read(index, offset + first, count)[None])
        # With what the filter reaches on either side, a piece is filtered as the whole is.
        reach = lowpass_reach(lowpass_hz, SAMPLE_RATE)
        before, after = min(first, reach), min(length - first - count, reach)
        wave = downmix(dump.read(index, offset + first - before, before + count + after)[None])
        return lowpass(wave, lowpass_hz, SAMPLE_RATE)[before : before + count]

    def finish() -> None:
        with about(f"utterance {name}"):
            downmix.finish(SAMPLE_RATE)

    return Source(name, length, read, finish)


def extract(
    embed: Callable[[Iterable[Source]], Iterator[tuple[str, np.ndarray]]],
    dump: DumpSet,
    indices: Sequence[int],
    lowpass_hz: float = 0.0,
    max_seconds: float = 0.0,
    channels: AcrossChannels | None = None,
) -> Iterator[tuple[str, np.ndarray]]:
    """(utterance, embedding) of the utterances ``indices`` of a dump in their order, with progress.

    Args:
        embed: utterances → (name, embedding ``(D,)``) in the same order, as
            ``embed_sources`` of models.
        dump, lowpass_hz, max_seconds, channels: see :func:`dump_source`.
        indices: positions in ``dump.utterances``.

    Raises:
        EmbeddingError: a waveform cannot be embedded; the message names the utterance.
        AudioError: the dump is damaged.
    """
    progress = Progress(logger, len(indices), "utterances")
    samples = 0
    sources = (dump_source(dump, index, lowpass_hz, max_seconds, channels) for index in indices)
    try:
        for done, (utterance, vector) in enumerate(embed(sources), 1):
            samples += int(dump.num_samples[indices[done - 1]])
            if not np.isfinite(vector).all():
                what = "the model gives an embedding that is not finite"
                raise EmbeddingError(f"utterance {utterance}: {what}")
            yield utterance, vector
            progress.update(done, audio_seconds=samples / SAMPLE_RATE)
    except UtteranceError as error:
        raise EmbeddingError(str(error)) from error


def lowpass(wave: np.ndarray, edge_hz: float, sample_rate: int = 16000) -> np.ndarray:
    """``wave (N,)`` without what lies at or above ``edge_hz``: float32 ``(N,)``, not delayed.

    A linear-phase FIR filter (Kaiser window): flat up to ``edge_hz - 200`` Hz, 100 dB down from ``edge_hz``
    on. The wave counts as silence outside its ends.

    Raises:
        ValueError: ``edge_hz`` is not between 200 Hz and half the sample rate.
    """
    from scipy.signal import oaconvolve

    taps = _design(edge_hz, sample_rate)
    half = len(taps) // 2
    if not len(wave):
        return np.zeros(0, dtype=np.float32)
    filtered = oaconvolve(np.asarray(wave, dtype=np.float64), taps)
    return filtered[half : half + len(wave)].astype(np.float32)


def lowpass_reach(edge_hz: float, sample_rate: int = 16000) -> int:
    """Samples on either side that a sample of :func:`lowpass` depends on."""
    return len(_design(edge_hz, sample_rate)) // 2


@lru_cache(maxsize=8)
def _design(edge_hz: float, sample_rate: int) -> np.ndarray:
    """Odd number of symmetric filter taps."""
    from scipy.signal import firwin, kaiserord

    if not TRANSITION_HZ < edge_hz < sample_rate / 2:
        raise SvmixerError(
            f"a low-pass edge lies between {TRANSITION_HZ:g} and {sample_rate / 2:g} Hz, found {edge_hz:g}"
        )
    taps, beta = kaiserord(STOPBAND_DB, TRANSITION_HZ / (sample_rate / 2))
    return firwin(taps | 1, edge_hz - TRANSITION_HZ / 2, window=("kaiser", beta), fs=sample_rate)
