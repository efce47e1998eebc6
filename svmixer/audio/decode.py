"""Decoders for files and bytes: libsndfile where it knows the format, FFmpeg's libraries elsewhere."""

from __future__ import annotations

import os
from importlib.util import find_spec
from io import BytesIO

import numpy as np
import soundfile

from svmixer.audio.errors import AudioError

# What a file begins with decides; names decide only where the content has no mark of its own.
_SNDFILE_MAGIC = tuple(b"RIFF RIFX RF64 FORM OggS fLaC NIST .snd dns. caff riff".split())
_FFMPEG_MAGIC = (b"ID3", b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75", b"ADIF")  # MP3, Matroska/WebM, ASF, AAC
UNKNOWN_LENGTH = 2**63 - 1  # libsndfile's own mark
_HEADERLESS = {".g722": "g722", ".gsm": "gsm"}
# Demuxers that FFmpeg may take. Without a list it also knows playlists, which name other files and addresses.
_DEMUXERS = {"format_whitelist": "aac,asf,flac,g722,gsm,matroska,mov,mp3,ogg,wav"}


def decoder_of(head: bytes, name: str) -> str:
    """``sndfile``, ``ffmpeg``, or FFmpeg's name of a headerless format; from the first 16 bytes and the name.

    Raises:
        AudioError: ``unreadable`` when neither content nor name is known.
    """
    if head.startswith(_SNDFILE_MAGIC):
        return "sndfile"
    suffix = os.path.splitext(name)[1].lower()
    if suffix in _HEADERLESS:
        return _HEADERLESS[suffix]
    if head.startswith(_FFMPEG_MAGIC) or head[4:8] == b"ftyp" or _is_mpeg_frame(head):
        return "ffmpeg"
    raise AudioError("unreadable", f"no known audio format (begins with {head[:8]!r})")


def _is_mpeg_frame(head: bytes) -> bool:
    """The sync word of MPEG audio layers and ADTS, with the reserved version excluded."""
    return len(head) > 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x18 != 0x08


def sndfile_layout(source: str | BytesIO) -> tuple[int, int]:
    """(rate, number of samples) from the header; ``UNKNOWN_LENGTH`` in FLAC that was written to a pipe.

    Raises:
        AudioError: ``unreadable``.
    """
    with _sndfile(source) as stream:
        return stream.samplerate, stream.frames


def sndfile_read(source: str | BytesIO, start: int, count: int) -> np.ndarray:
    """Samples ``start`` … ``start + count`` as np.float32 [C, count], integers scaled to −1…1.

    Raises:
        AudioError: ``unreadable``, also when decoding ends before ``count`` samples.
    """
    with _sndfile(source) as stream:
        try:
            if start:
                stream.seek(start)
            wave = stream.read(count, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise AudioError("unreadable", _plain(error)) from None
        except (MemoryError, ValueError):  # the size of the array, not of the recording
            raise AudioError("unreadable", f"the header promises {count} samples") from None
    if len(wave) != count:
        what = f"decoding stopped after {start + len(wave)} of {start + count} samples"
        raise AudioError("unreadable", what)
    return np.ascontiguousarray(wave.T)


def _sndfile(source: str | BytesIO) -> soundfile.SoundFile:
    if isinstance(source, BytesIO):
        source.seek(0)
    try:
        return soundfile.SoundFile(source)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise AudioError("unreadable", _plain(error)) from None


def _plain(error: Exception) -> str:
    """libsndfile's own words, without the file name that soundfile puts in front."""
    return getattr(error, "error_string", None) or str(error)


def ffmpeg_read(source: str | BytesIO, container: str | None) -> tuple[np.ndarray, int]:
    """The whole first audio stream as (np.float32 [C, N], rate), integers scaled to −1…1.

    Args:
        source: a file name or the bytes.
        container: FFmpeg's name of a headerless format; None lets the content decide.

    Raises:
        AudioError: ``unreadable``.
    """
    if find_spec("av") is None:
        return _without_ffmpeg(source)
    import av

    if isinstance(source, BytesIO):
        source.seek(0)
    pieces, rate = [], 0
    try:
        # "file:" keeps FFmpeg from taking a name with a colon for a protocol.
        name = f"file:{source}" if isinstance(source, str) else source
        with av.open(name, format=container, options=_DEMUXERS) as stream:
            if not stream.streams.audio:
                raise AudioError("unreadable", "no audio stream")
            for frame in stream.decode(audio=0):
                if frame.sample_rate != (rate or frame.sample_rate):
                    raise AudioError("unreadable", f"the rate changes from {rate} to {frame.sample_rate}")
                rate = frame.sample_rate
                pieces.append(_frame_samples(frame))
        if not pieces:
            return np.zeros((1, 0), np.float32), rate
        return np.concatenate(pieces, axis=1), rate
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, AudioError):
            raise
        raise AudioError("unreadable", str(error)) from None


def _without_ffmpeg(source: str | BytesIO) -> tuple[np.ndarray, int]:
    """MP3 by libsndfile, which may begin with the encoder's delay; it reads no other of these formats."""
    try:
        rate, num_samples = sndfile_layout(source)
    except AudioError:
        num_samples = UNKNOWN_LENGTH
    if num_samples == UNKNOWN_LENGTH:
        what = "a format that needs the package av, which is not installed: pip install 'svmixer[torch]'"
        raise AudioError("unreadable", what)
    return sndfile_read(source, 0, num_samples), rate


def _frame_samples(frame) -> np.ndarray:
    """One decoded frame as np.float32 [C, n]."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    if samples.dtype.kind == "i":
        return (samples / -float(np.iinfo(samples.dtype).min)).astype(np.float32)
    return samples.astype(np.float32)
