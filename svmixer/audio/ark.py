"""WAV headers and partial reads of 16-bit samples, in plain files and inside Kaldi archives alike.

An archive entry that kaldiio wrote for audio is an ordinary WAV file behind ``<utterance> ``;
``file.ark:offset`` points at its ``RIFF``. All reads are positional (``os.pread``): threads and forked
processes can share a descriptor.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import struct
from collections.abc import Iterator

import numpy as np

from svmixer.audio.errors import AudioError

_PCM, _EXTENSIBLE = 0x0001, 0xFFFE
# What programs that write into a pipe leave as the length: 0x7FFFF000 and so on (sox), 0xFFFFFFFF (ffmpeg).
_UNKNOWN_LENGTH = 0x7FFF0000
# Far more than any program writes before the samples; a file full of empty chunks would take hours to walk.
_MOST_CHUNKS = 1000


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    """A descriptor for positional reads; what the system reports, then or later, becomes an AudioError.

    Raises:
        AudioError: ``missing file`` or ``unreadable``.
    """
    try:
        # Without O_NONBLOCK a named pipe would wait here for a writer; regular files know no difference.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        raise AudioError("missing file") from None
    except OSError as error:
        raise AudioError("unreadable", error.strerror or "") from None
    try:
        yield descriptor
    except OSError as error:
        raise AudioError("unreadable", error.strerror or "") from None
    finally:
        os.close(descriptor)


@dataclasses.dataclass(frozen=True)
class WavHeader:
    """The facts of a RIFF WAVE header."""

    rate: int  # samples per second, as written in the header
    channels: int
    encoding: int  # WAVE format tag: 1 PCM, 3 float, 6 A-law, 7 mu-law
    bits: int  # bits per sample of one channel
    data_offset: int  # position of the first sample, in bytes from the start of the file
    data_bytes: int

    @property
    def num_samples(self) -> int:
        """Samples of one channel."""
        return self.data_bytes // max(1, self.channels * self.bits // 8)

    @property
    def is_pcm16(self) -> bool:
        return self.encoding == _PCM and self.bits == 16 and self.channels >= 1 and self.rate >= 1


def wav_header(descriptor: int, offset: int = 0) -> WavHeader:
    """Parse the RIFF WAVE header at ``offset`` of an open file.

    Raises:
        AudioError: ``unreadable`` when it is no RIFF WAVE, has no format or data, or promises more bytes
            than the file has.
    """
    head = os.pread(descriptor, 4096, offset)

    def take(position: int, size: int) -> bytes:
        if position + size <= len(head):
            return head[position : position + size]
        return os.pread(descriptor, size, offset + position)

    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        raise AudioError("unreadable", f"no WAV header at byte {offset}")
    layout, position = None, 12
    for _ in range(_MOST_CHUNKS):
        chunk = take(position, 8)
        if len(chunk) < 8:
            break
        name, size = chunk[:4], struct.unpack("<I", chunk[4:])[0]
        position += 8
        if name == b"fmt " and size >= 16:
            layout = _wav_format(take(position, min(size, 40)))
        elif name == b"data":
            if layout is None:
                break
            start = offset + position
            return WavHeader(*layout, start, _data_bytes(descriptor, start, size, in_archive=offset > 0))
        position += size + size % 2
    raise AudioError("unreadable", f"WAV header at byte {offset} without {'data' if layout else 'format'}")


def _wav_format(chunk: bytes) -> tuple[int, int, int, int]:
    if len(chunk) < 16:
        raise AudioError("unreadable", "WAV header cut off")
    encoding, channels, rate, _, _, bits = struct.unpack("<HHIIHH", chunk[:16])
    if encoding == _EXTENSIBLE and len(chunk) >= 26:
        encoding = struct.unpack("<H", chunk[24:26])[0]
    return rate, channels, encoding, bits


def _data_bytes(descriptor: int, position: int, declared: int, in_archive: bool) -> int:
    present = os.fstat(descriptor).st_size - position
    if declared <= present:
        return declared
    if declared >= _UNKNOWN_LENGTH and not in_archive:
        return present
    what = f"truncated: the WAV header promises {declared} bytes of samples, {present} are there"
    raise AudioError("unreadable", what)


def read_pcm16(descriptor: int, header: WavHeader, start: int = 0, count: int | None = None) -> np.ndarray:
    """Samples ``start`` … ``start + count`` (default: to the end) as np.int16 [count, C], reading only those.

    Raises:
        AudioError: ``unreadable`` when the file ends too early or the header does not describe 16-bit PCM.
        IndexError: the range is not inside the recording.
    """
    if not header.is_pcm16:
        raise AudioError("unreadable", f"not 16-bit PCM (WAVE format {header.encoding}, {header.bits} bits)")
    count = header.num_samples - start if count is None else count
    if start < 0 or count < 0 or start + count > header.num_samples:
        raise IndexError(f"samples {start}…{start + count} of {header.num_samples}")
    width = 2 * header.channels
    data = pread_exactly(descriptor, count * width, header.data_offset + start * width)
    return np.frombuffer(data, dtype="<i2").reshape(count, header.channels)


def pread_exactly(descriptor: int, size: int, offset: int) -> bytes:
    """``size`` bytes at ``offset``; one system call may return less (2 GB limit, network file systems).

    Raises:
        AudioError: ``unreadable`` at an early end of file; then no memory was taken for what is not there.
    """
    early = offset + size - os.fstat(descriptor).st_size
    if early > 0:
        raise AudioError("unreadable", f"the file ends {early} bytes early")
    data = os.pread(descriptor, size, offset)
    while len(data) < size:
        more = os.pread(descriptor, size - len(data), offset + len(data))
        if not more:
            raise AudioError("unreadable", f"the file ends {size - len(data)} bytes early")
        data += more
    return data


def ark_entry(descriptor: int, offset: int) -> bytes:
    """The audio file stored at ``offset``: ``RIFF…``, or kaldiio's ``AUDIO`` + length + a file of any format.

    Raises:
        AudioError: ``unreadable`` when something else is there (a feature matrix, the middle of an entry).
    """
    head = os.pread(descriptor, 16, offset)
    if head[:4] == b"RIFF" and len(head) >= 8:
        return pread_exactly(descriptor, struct.unpack("<I", head[4:8])[0] + 8, offset)
    if head[:5] == b"AUDIO" and len(head) > 6 + head[5]:
        size = int.from_bytes(head[6 : 6 + head[5]], "little")
        return pread_exactly(descriptor, size, offset + 6 + head[5])
    raise AudioError("unreadable", f"no audio at byte {offset} of the archive")
