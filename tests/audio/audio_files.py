"""Audio files for the tests, made by hand or by encoders that are not the code under test."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile


def tone(rate: int, seconds: float, frequency: float = 440.0, amplitude: float = 0.5) -> np.ndarray:
    """A sine, np.float64 [N]."""
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)


def noise_pcm(num_samples: int, seed: int = 0) -> np.ndarray:
    """White noise with both extremes of 16 bits in it, np.int16 [N]."""
    pcm = np.random.default_rng(seed).integers(-3000, 3000, num_samples).astype(np.int16)
    pcm[:2] = -32768, 32767
    return pcm


def wav_bytes(
    data: bytes,
    *,
    rate: int = 16000,
    channels: int = 1,
    bits: int = 16,
    encoding: int = 1,
    before_data: bytes = b"",
    data_size: int | None = None,
) -> bytes:
    """A RIFF WAVE file put together chunk by chunk; ``data_size`` may lie about the length."""
    width = channels * bits // 8
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, encoding, channels, rate, rate * width, width, bits)
    size = len(data) if data_size is None else data_size
    chunks = layout + before_data + struct.pack("<4sI", b"data", size) + data
    return b"RIFF" + struct.pack("<I", min(4 + len(chunks), 0xFFFFFFFF)) + b"WAVE" + chunks


def write_wav(path: Path, pcm: np.ndarray, rate: int = 16000, **options) -> Path:
    """A 16-bit WAV file from np.int16 [N] or [N, C]."""
    channels = 1 if pcm.ndim == 1 else pcm.shape[1]
    path.write_bytes(wav_bytes(pcm.astype("<i2").tobytes(), rate=rate, channels=channels, **options))
    return path


def write_sphere(path: Path, data: bytes, **fields: str) -> Path:
    """A NIST SPHERE file: 1024 bytes of text, then samples. ``fields`` are ``name="-i 16000"``."""
    lines = ["NIST_1A", "   1024", *(f"{name} {value}" for name, value in fields.items()), "end_head", ""]
    path.write_bytes("\n".join(lines).encode().ljust(1024) + data)
    return path


def encode(path: Path, codec: str, wave: np.ndarray, rate: int, container: str | None = None) -> Path:
    """Encode np.float64 [N] with FFmpeg's libraries; skips the test where the encoder is not built in."""
    av = pytest.importorskip("av")
    try:
        av.Codec(codec, "w")
    except ValueError:
        pytest.skip(f"this build of PyAV has no encoder {codec}")
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        if codec.startswith("wma"):
            stream.bit_rate = 64000  # it has no default
        pcm = np.round(wave * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(
            format=stream.format, layout="mono", rate=rate, frame_size=stream.frame_size
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(piece))
        # FLAC's last packet has news for the header alone, which no container but FLAC's own takes.
        output.mux([packet for packet in stream.encode(None) if packet.size])
    return path


def write_gsm(path: Path, wave: np.ndarray) -> Path:
    """Headerless GSM 06.10 at 8 kHz, 33 bytes for 160 samples."""
    soundfile.write(path, wave, 8000, format="RAW", subtype="GSM610")
    return path


def peak_frequency(wave: np.ndarray, rate: int) -> float:
    """The strongest frequency of np.float [N], to the resolution of one bin."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return float(np.argmax(spectrum)) * rate / len(wave)


def mu_law(codes: np.ndarray) -> np.ndarray:
    """ITU-T G.711 mu-law code words, np.uint8 [N], to values of −1…1 by the standard's formula."""
    bits = ~codes
    exponent, mantissa = (bits >> 4) & 7, bits & 15
    magnitude = ((2 * mantissa.astype(int) + 33) << exponent) - 33
    return np.where(bits & 0x80, -magnitude, magnitude) * 4 / 32768
