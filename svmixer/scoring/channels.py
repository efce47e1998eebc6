"""The condition across channels: the two sides of a trial come through channels of different families."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from svmixer.audio.augment_config import ChannelConfig, channel_name

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
