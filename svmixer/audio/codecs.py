"""Speech codecs of telephones and recorders: a waveform coded and decoded again, at its place in time.

FFmpeg's libraries (PyAV) have all of them but GSM's encoder, which libsndfile has. PyAV's wheels have no
encoder of AMR-WB, so that one is not here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from importlib.util import find_spec
from typing import Any

import numpy as np

from svmixer.audio.dumpset import RATE
from svmixer.audio.effects import through_codec
from svmixer.audio.resample import from_pcm16, to_mono_16k, to_pcm16
from svmixer.config import ConfigError


@dataclass(frozen=True)
class Codec:
    """How FFmpeg is asked for a codec."""

    rate: int  # samples per second
    encoder: str  # FFmpeg's names
    decoder: str
    bit_rates: tuple[int, ...]  # per second, drawn equally often
    # Samples by which the decoded signal lags behind and FFmpeg does not take off by itself.
    delay: int = 0
    options: dict[str, str] = field(default_factory=dict)


# GSM full rate (GSM 06.10, 13 kbit/s) is libsndfile's.
GSM = "gsm"
CODECS = {
    # ITU-T G.711.
    "mulaw": Codec(8000, "pcm_mulaw", "pcm_mulaw", (64000,)),
    "alaw": Codec(8000, "pcm_alaw", "pcm_alaw", (64000,)),
    # ITU-T G.722, wide-band telephone.
    "g722": Codec(RATE, "g722", "g722", (64000,), delay=22),
    # 3GPP TS 26.090. Its encoder looks 5 ms ahead.
    "amrnb": Codec(
        8000, "libopencore_amrnb", "amrnb", (4750, 5150, 5900, 6700, 7400, 7950, 10200, 12200), delay=40
    ),
    # RFC 6716, as for calls.
    "opus": Codec(
        RATE, "libopus", "libopus", (6000, 8000, 12000, 16000, 24000), options={"application": "voip"}
    ),
    # Quality 7 of LAME's 0 to 9: the best ones take twice as long.
    "mp3": Codec(
        RATE, "libmp3lame", "mp3float", (16000, 24000, 32000, 48000), options={"compression_level": "7"}
    ),
}


def check_codec(name: str) -> None:
    """Do nothing if the installed libraries have both halves of a codec.

    Raises:
        ConfigError: PyAV is not installed, or its FFmpeg has no such encoder or decoder.
    """
    if name == GSM:
        return
    if find_spec("av") is None:
        raise ConfigError(f"the codec {name} needs av, which is not installed: pip install 'svmixer[audio]'")
    import av

    codec = CODECS[name]
    for half, mode in ((codec.encoder, "w"), (codec.decoder, "r")):
        try:
            av.Codec(half, mode)
        except ValueError:  # PyAV's UnknownCodecError is one
            raise ConfigError(
                f"the codec {name} needs FFmpeg's '{half}', which this PyAV ({av.__version__}) was built "
                "without: leave the channel family out, or install PyAV's own wheel"
            ) from None


def draw_bit_rate(name: str, rng: np.random.Generator) -> int:
    """Bits per second of a codec, drawn from those that it has."""
    rates = (13000,) if name == GSM else CODECS[name].bit_rates
    return rates[int(rng.integers(len(rates)))]


def transmit(wave: np.ndarray, name: str, bit_rate: int) -> np.ndarray:
    """What comes out of a codec's decoder, without its delay.

    Args:
        wave: np.float32 (N,) at 16 kHz; beyond ±1 it is clipped.
        name: a key of :data:`CODECS`, or :data:`GSM`.
        bit_rate: per second, see :func:`draw_bit_rate`.

    Returns:
        np.float32 (N,) at 16 kHz.
    """
    if name == GSM:
        return through_codec(np.clip(wave, -1.0, 1.0), GSM)
    codec = CODECS[name]
    coded = to_pcm16(to_mono_16k(wave[None], RATE, codec.rate))
    decoded, rate = _decode(codec, *_encode(codec, coded, bit_rate))
    decoded = decoded[codec.delay * rate // codec.rate :]
    result = to_mono_16k(decoded[None], rate)[: len(wave)]
    return np.pad(result, (0, len(wave) - len(result)))


def _encode(codec: Codec, pcm: np.ndarray, bit_rate: int) -> tuple[list[Any], bytes | None]:
    """Packets of np.int16 (n,), and what the decoder has to know beforehand."""
    import av

    context = av.CodecContext.create(codec.encoder, "w")
    context.sample_rate, context.layout, context.bit_rate = codec.rate, "mono", bit_rate
    formats = [found.name for found in av.Codec(codec.encoder, "w").audio_formats]
    context.format = "s16" if "s16" in formats else "s16p"
    context.time_base = Fraction(1, codec.rate)
    context.thread_count = 1
    context.options = codec.options
    context.open()
    # Encoders without frames of their own take all at once. Zeros push out what lags behind.
    size = context.frame_size or len(pcm) + codec.rate // 10
    frames = -(-(len(pcm) + codec.rate // 10) // size)
    pcm = np.pad(pcm, (0, frames * size - len(pcm)))
    packets = []
    for start in range(0, len(pcm), size):
        piece = pcm[None, start : start + size]
        frame = av.AudioFrame.from_ndarray(piece, format=context.format.name, layout="mono")
        frame.sample_rate, frame.pts = codec.rate, start
        packets += context.encode(frame)
    return packets + context.encode(None), context.extradata


def _decode(codec: Codec, packets: list[Any], extradata: bytes | None) -> tuple[np.ndarray, int]:
    """np.float32 (n,) and its rate, which is the decoder's choice."""
    import av

    context = av.CodecContext.create(codec.decoder, "r")
    context.sample_rate, context.layout, context.thread_count = codec.rate, "mono", 1
    if extradata:
        context.extradata = extradata
    pieces, rate = [], codec.rate
    for packet in [*packets, None]:
        for frame in context.decode(packet):
            pieces.append(frame.to_ndarray().reshape(-1))
            rate = frame.sample_rate
    decoded = np.concatenate(pieces)
    return from_pcm16(decoded) if decoded.dtype == np.int16 else decoded.astype(np.float32), rate
