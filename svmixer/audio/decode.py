"""Decoders for files and bytes: libsndfile where it knows the format, FFmpeg's libraries elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from io import BytesIO

import numpy as np
import soundfile

from svmixer.audio.errors import AudioError

UNKNOWN_LENGTH = 2**63 - 1  # libsndfile's own mark
_BLOCK = 1 << 16  # samples
# Demuxers that FFmpeg may take. Without a list it also knows playlists, which name other files and addresses.
_DEMUXERS = {
    "format_whitelist": (
        "aac,aiff,amr,asf,au,caf,flac,g722,gsm,iff,matroska,mov,mp3,nistsphere,ogg,voc,w64,wav,wv"
    )
}
_NEEDED = "this format needs FFmpeg's libraries, which the package av brings: pip install av"


def sndfile_layout(source: str | BytesIO) -> tuple[int, int]:
    """(rate, number of samples) from the header.

    The number is ``UNKNOWN_LENGTH`` in FLAC that was written to a pipe, and in MPEG audio, where libsndfile
    has an estimate.

    Raises:
        AudioError: ``unreadable``.
    """
    with _sndfile(source) as stream:
        return stream.samplerate, UNKNOWN_LENGTH if _is_mpeg(stream) else stream.frames


def _is_mpeg(stream: soundfile.SoundFile) -> bool:
    return stream.subtype.startswith("MPEG")


def sndfile_blocks(source: str | BytesIO) -> Iterator[tuple[np.ndarray, int]]:
    """The whole recording as blocks: (np.float32 (C, n), rate), in order and without a gap.

    Raises:
        AudioError: ``unreadable``, also when decoding ends before the number of samples in the header.
    """
    with _sndfile(source) as stream:
        promised = 0 if _is_mpeg(stream) else stream.frames
        if promised == UNKNOWN_LENGTH:  # then libsndfile cannot say where it is, either
            raise AudioError("unreadable", f"its header has no length, and {_NEEDED}")
        done = 0
        while True:
            block = _read(stream, _BLOCK)
            if not len(block):
                break
            done += len(block)
            yield np.ascontiguousarray(block.T), stream.samplerate
        if done < promised:
            raise _ended(done, promised)


def _ended(done: int, promised: int) -> AudioError:
    return AudioError("unreadable", f"truncated: decoding stopped after {done} of {promised} samples")


def _read(stream: soundfile.SoundFile, count: int) -> np.ndarray:
    try:
        return stream.read(count, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise AudioError("unreadable", _plain(error)) from None
    except (MemoryError, ValueError):  # the size of the array, not of the recording
        raise AudioError("unreadable", f"the header promises {count} samples") from None


def sndfile_read(source: str | BytesIO, start: int, count: int) -> np.ndarray:
    """Samples ``start`` … ``start + count`` as np.float32 (C, count), integers scaled to −1…1.

    Raises:
        AudioError: ``unreadable``, also when decoding ends before ``count`` samples.
    """
    with _sndfile(source) as stream:
        try:
            if start:
                stream.seek(start)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise AudioError("unreadable", _plain(error)) from None
        wave = _read(stream, count)
    if len(wave) != count:
        raise _ended(start + len(wave), start + count)
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
    words = getattr(error, "error_string", None) or str(error)
    return words.removeprefix("Error : ").rstrip(". ")


def joined(blocks: Iterable[tuple[np.ndarray, int]]) -> tuple[np.ndarray, int]:
    """Blocks of one recording one after the other, in little more memory than the result takes."""
    wave, rate, size = np.zeros((0, 1), np.float32), 0, 0
    for block, rate in blocks:  # noqa: B007 the last one is returned
        channels, count = block.shape
        if size + count > len(wave):  # grows in place: lists of blocks would need twice the memory
            wave.resize((max(size + count, len(wave) * 9 // 8), channels), refcheck=False)
        wave[size : size + count] = block.T
        size += count
    wave.resize((size, wave.shape[1]), refcheck=False)
    return wave.T, rate


def ffmpeg_blocks(source: str | BytesIO, container: str | None) -> Iterator[tuple[np.ndarray, int]]:
    """The first audio stream as it is decoded: (np.float32 (C, n), rate), integers scaled to −1…1.

    Rate and number of channels are those of the first block in all. Where PyAV is not installed libsndfile
    reads what it can.

    Args:
        source: a file name or the bytes.
        container: FFmpeg's name of a headerless format; None lets the content decide.

    Raises:
        AudioError: ``unreadable``.
    """
    if find_spec("av") is None:
        yield from _without_ffmpeg(source)
        return
    import av

    if isinstance(source, BytesIO):
        source.seek(0)
    layout = None
    try:
        # "file:" keeps FFmpeg from taking a name with a colon for a protocol.
        name = f"file:{source}" if isinstance(source, str) else source
        with av.open(name, format=container, options=_DEMUXERS) as stream:
            for frame in _frames(stream, av.FFmpegError):
                found = (frame.layout.nb_channels, frame.sample_rate)
                layout = layout or found
                if found != layout:
                    what = "{} channels at {} Hz become {} at {} Hz"
                    raise AudioError("unreadable", what.format(*layout, *found))
                yield _frame_samples(frame), frame.sample_rate
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, AudioError):
            raise
        raise AudioError("unreadable", f"FFmpeg: {getattr(error, 'strerror', None) or error}") from None


def _frames(stream, failure: type[Exception]) -> Iterator:
    """Decoded frames; where only the last packet cannot be decoded, the stream was cut off within it."""
    if not stream.streams.audio:
        raise AudioError("unreadable", "no audio stream")
    if stream.streams.audio[0].codec_context is None:
        raise AudioError("unreadable", "FFmpeg's libraries have no decoder for it")
    error, done = None, 0.0
    for packet in stream.demux(audio=0):
        if error and packet.size:
            raise AudioError("unreadable", f"FFmpeg: {error.strerror} at {done:.2f} s")
        try:
            frames = packet.decode() if not error else []
        except failure as caught:
            error, frames = caught, []
        for frame in frames:
            done += frame.samples / max(1, frame.sample_rate)
            yield frame
    if error:
        raise AudioError("unreadable", f"truncated: the end of it cannot be decoded, {done:.2f} s can")


def _without_ffmpeg(source: str | BytesIO) -> Iterator[tuple[np.ndarray, int]]:
    """MPEG audio by libsndfile, which may begin with the encoder's delay; other formats it has refused."""
    try:
        sndfile_layout(source)
    except AudioError:
        raise AudioError("unreadable", _NEEDED) from None
    yield from sndfile_blocks(source)


def _frame_samples(frame) -> np.ndarray:
    """One decoded frame as np.float32 (C, n)."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    if samples.dtype.kind == "i":
        return (samples / -float(np.iinfo(samples.dtype).min)).astype(np.float32)
    return samples.astype(np.float32)
