"""Telephone and far-field channels: room, handset, gain control, band, codec and lost packets in a chain.

:data:`svmixer.audio.augment_config.CHANNELS` has the families, for training and held out. What a channel does
depends on the waveform, the family, the configuration and the generator passed to the call, on nothing else.
"""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
from scipy import fft

from svmixer.audio import codecs, effects
from svmixer.audio.augment_config import CHANNELS, Channel, ChannelConfig, Rooms
from svmixer.audio.dumpset import RATE
from svmixer.config import ConfigError

# Responses that a family of rooms has; a crop gets one of them.
NUM_ROOMS = 64
_SPEED_OF_SOUND = 343.0  # m/s
_FROM_WALL = 0.3  # metres that talker and microphone keep from every wall
_RESPONSE_TAPS = 512
_PACKET = RATE // 50  # 20 ms
_CONCEALMENTS = ("repeat", "fade", "silence")
_FADE = 0.5  # from packet to packet
_AGC_FRAME = RATE // 100  # 10 ms
_ATTACK, _RELEASE = 0.02, 0.4  # seconds after which the gain control follows a louder, a quieter signal


class ChannelSimulator:
    """Sends crops through channels of the families of a configuration. Picklable.

    Responses of rooms are computed here, once, so that processes that are forked from this one share them.

    Raises:
        ConfigError: a codec that a family needs is not installed.
    """

    def __init__(self, config: ChannelConfig) -> None:
        self.config = config
        for name in config.families:
            prepare(name)

    def __call__(self, wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One crop through a channel of a family that is drawn; see :func:`through_channel`."""
        family = self.config.families[int(rng.integers(len(self.config.families)))]
        return through_channel(wave, family, self.config, rng)


def prepare(family: str) -> None:
    """Check a family's codec and compute what all of its channels share.

    Raises:
        ConfigError: the codec is not installed (the message names the family).
    """
    channel = CHANNELS[family]
    if channel.codec:
        try:
            codecs.check_codec(channel.codec)
        except ConfigError as error:
            raise ConfigError(f"channel family {family}: {error}") from None
    if channel.rooms is not None:
        for number in range(NUM_ROOMS):
            room_response(channel.rooms, number)


def through_channel(
    wave: np.ndarray, family: str, config: ChannelConfig, rng: np.random.Generator
) -> np.ndarray:
    """``wave`` at the far end of one channel.

    Args:
        wave: np.float32 (N,) at 16 kHz; never written to.
        family: a key of :data:`svmixer.audio.augment_config.CHANNELS`.
        config: ranges that the channel is drawn from.
        rng: the only source of chance.

    Returns:
        np.float32 (N,), aligned with ``wave`` and as loud; silence as it is.
    """
    before = effects.power(wave)
    if before == 0.0:
        return wave
    channel = CHANNELS[family]
    sent = _analogue(wave, channel, config, rng)
    if channel.codec:
        sent = codecs.transmit(sent, channel.codec, codecs.draw_bit_rate(channel.codec, rng))
    if channel.packets and rng.random() < config.loss_prob:
        lost = lost_packets(
            -(-len(sent) // _PACKET), rng.uniform(*config.loss_share), rng.uniform(*config.loss_burst), rng
        )
        sent = conceal(sent, lost, _CONCEALMENTS[int(rng.integers(len(_CONCEALMENTS)))])
    after = effects.power(sent)
    return sent if after == 0.0 else sent * np.float32(math.sqrt(before / after))


def _analogue(
    wave: np.ndarray, channel: Channel, config: ChannelConfig, rng: np.random.Generator
) -> np.ndarray:
    """All that comes before the codec; np.float32 (N,) within ±1."""
    if channel.rooms is not None:
        wave = effects.reverberate(wave, room_response(channel.rooms, int(rng.integers(NUM_ROOMS))))
    wave = effects.reverberate(wave, device_response(rng.normal(0.0, rng.uniform(*config.response_db), 8)))
    if rng.random() < config.agc_prob:
        wave = control_gain(wave, rng.uniform(*config.agc_db))
    wave = effects.limit_band(wave, rng.uniform(*channel.low_hz), rng.uniform(*channel.high_hz))
    if rng.random() < config.clip_prob:
        wave = effects.clip_peaks(wave, rng.uniform(*config.clip_ratio))
    level = rng.uniform(*config.level_db)
    power = effects.power(wave)
    if power > 0.0:
        wave = wave * np.float32(math.sqrt(10.0 ** (level / 10.0) / power))
    return np.clip(wave, -1.0, 1.0)


def device_response(gains_db: np.ndarray) -> np.ndarray:
    """Impulse response of a handset, loudspeaker or microphone: minimum phase, so without delay.

    The phase follows from the magnitude by the cepstrum folded onto its causal half (Oppenheim and Schafer,
    Discrete-Time Signal Processing, chapter on the cepstrum).

    Args:
        gains_db: (8,), gain at 62.5, 125, … 8000 Hz; smooth in between, the first holds below.

    Returns:
        np.float32 [512].
    """
    size = 4 * _RESPONSE_TAPS  # the cepstrum's tail is below rounding at its end
    octave = np.log2(np.maximum(np.arange(size // 2 + 1) * (RATE / size / 62.5), 1.0))
    log_gain = np.interp(octave, np.arange(8), gains_db) * (math.log(10.0) / 20.0)
    cepstrum = fft.irfft(log_gain, size)
    cepstrum[1 : size // 2] *= 2.0
    cepstrum[size // 2 + 1 :] = 0.0
    return fft.irfft(np.exp(fft.rfft(cepstrum)), size)[:_RESPONSE_TAPS].astype(np.float32)


def control_gain(wave: np.ndarray, most_db: float) -> np.ndarray:
    """Automatic gain control: brings the level of 10 ms frames towards that of the whole.

    The measured level follows louder frames within 20 ms and quieter ones within 400 ms; the gain lies
    between −``most_db`` and ``most_db``.

    Args:
        wave: np.float32 (N,).
        most_db: decibels.

    Returns:
        np.float32 (N,).
    """
    frames = -(-len(wave) // _AGC_FRAME)
    squares = np.pad(np.square(wave, dtype=np.float64), (0, frames * _AGC_FRAME - len(wave)))
    powers = squares.reshape(frames, _AGC_FRAME).mean(axis=1)
    target = effects.power(wave)
    attack, release = (1.0 - math.exp(-_AGC_FRAME / RATE / time) for time in (_ATTACK, _RELEASE))
    followed, level = np.empty(frames), target
    for place, power in enumerate(powers.tolist()):
        level += (attack if power > level else release) * (power - level)
        followed[place] = level
    limit = 10.0 ** (most_db / 20.0)
    gains = np.clip(np.sqrt(target / np.maximum(followed, 1e-20)), 1.0 / limit, limit)
    centres = (np.arange(frames) + 0.5) * _AGC_FRAME
    return wave * np.interp(np.arange(len(wave)), centres, gains).astype(np.float32)


def lost_packets(num: int, share: float, burst: float, rng: np.random.Generator) -> np.ndarray:
    """Which packets do not arrive, by a Markov chain of two states (Gilbert, Bell Syst. Tech. J. 1960).

    Args:
        num: packets.
        share: of them that is lost in the long run, below 1.
        burst: mean number of packets that are lost one after another, at least 1.
        rng: the only source of chance.

    Returns:
        bool (num,), True where a packet is lost.
    """
    leave = 1.0 / burst
    enter = min(1.0, leave * share / (1.0 - share))
    lost = np.zeros(num, dtype=bool)
    state = rng.random() < share
    for place, draw in enumerate(rng.random(num).tolist()):
        lost[place] = state
        state = draw >= leave if state else draw < enter
    return lost


def conceal(wave: np.ndarray, lost: np.ndarray, how: str) -> np.ndarray:
    """What a receiver plays when packets of 20 ms are missing.

    The decoder's own state is not disturbed: it is the waveform whose packets are replaced.

    Args:
        wave: np.float32 (N,) at 16 kHz.
        lost: bool (P,), P packets that cover the wave.
        how: ``repeat`` the last packet that arrived, ``fade``: repeat it at half the amplitude each time, or
            ``silence``. Before the first one there is silence in any case.

    Returns:
        np.float32 (N,).
    """
    packets = np.pad(wave, (0, len(lost) * _PACKET - len(wave))).reshape(len(lost), _PACKET)
    places = np.arange(len(lost))
    newest = np.maximum.accumulate(np.where(lost, -1, places))
    gain = np.ones(len(lost), dtype=np.float32)
    if how == "fade":
        gain = np.float32(_FADE) ** (places - newest)
    elif how == "silence":
        gain[lost] = 0.0
    gain[newest < 0] = 0.0
    played = packets[np.maximum(newest, 0)] * gain[:, None]
    return played.reshape(-1)[: len(wave)].astype(np.float32)


@functools.lru_cache(maxsize=4 * NUM_ROOMS)
def room_response(rooms: Rooms, number: int) -> np.ndarray:
    """Impulse response ``number`` of a family of rooms, np.float32 (R,) at 16 kHz; always the same one."""
    rng = np.random.default_rng([number, *(round(1000 * value) for value in rooms.rt60)])
    size = np.array([rng.uniform(*side) for side in (rooms.length, rooms.width, rooms.height)])
    rt60 = rng.uniform(*rooms.rt60)
    while True:
        talker, microphone = (rng.uniform(_FROM_WALL, size - _FROM_WALL) for _ in range(2))
        if rooms.distance[0] <= np.linalg.norm(talker - microphone) <= rooms.distance[1]:
            return image_sources(size, talker, microphone, rt60)


def image_sources(size: np.ndarray, talker: np.ndarray, microphone: np.ndarray, rt60: float) -> np.ndarray:
    """Impulse response of a shoebox room by its image sources (Allen and Berkley, JASA 1979).

    All walls absorb equally, as Eyring's formula demands for ``rt60``; every image arrives at the nearest
    sample, at one over its distance.

    Args:
        size: length, width, height in metres, (3,).
        talker, microphone: their places, (3,).
        rt60: seconds; the response ends there.

    Returns:
        np.float32 (R,) at 16 kHz, R = rt60 · 16000 rounded.
    """
    surface = 2.0 * sum(one * other for one, other in itertools.combinations(size.tolist(), 2))
    # Eyring: rt60 = 24 ln(10) V / (c · −S ln(1 − absorption)); the amplitude falls by the root at each wall.
    log_reflection = -12.0 * math.log(10.0) * float(np.prod(size)) / (_SPEED_OF_SOUND * surface * rt60)
    reach = _SPEED_OF_SOUND * rt60
    distances, reflections = [], []
    for side, place, ear in zip(size, talker, microphone, strict=True):
        number = np.arange(-math.ceil(reach / (2.0 * side)) - 1, math.ceil(reach / (2.0 * side)) + 2)
        # Images at 2·n·side + place have met 2·|n| walls, those at 2·n·side − place |n| + |n − 1|.
        images = np.concatenate([2.0 * number * side + place, 2.0 * number * side - place])
        distances.append((images - ear) ** 2)
        reflections.append(np.concatenate([2 * np.abs(number), np.abs(number) + np.abs(number - 1)]))
    distance = np.sqrt(functools.reduce(np.add.outer, distances)).ravel()
    walls = functools.reduce(np.add.outer, reflections).ravel()
    arrival = np.rint(distance * (RATE / _SPEED_OF_SOUND)).astype(np.int64)
    taps = round(rt60 * RATE)
    heard = arrival < taps
    amplitude = np.exp(log_reflection * walls[heard]) / distance[heard]
    return np.bincount(arrival[heard], amplitude, minlength=taps)[:taps].astype(np.float32)
