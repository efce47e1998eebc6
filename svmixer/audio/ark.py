"""Opened files, and partial reads of 16-bit WAV in plain files and inside Kaldi archives alike.

An archive entry that kaldiio wrote for audio is an ordinary WAV file behind ``<utterance> ``;
``file.ark:offset`` points at its ``RIFF``. All reads are positional (``os.pread``): threads and forked
processes can share a descriptor.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
from collections.abc import Iterator

import numpy as np

from svmixer.audio.errors import AudioError
from svmixer.audio.formats import Span
from svmixer.audio.wav import WavHeader, wav_header_of

# A named pipe without a writer is given this long; a writer may then take any time.
_PATIENCE = 5.0  # seconds


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


def is_pipe(descriptor: int) -> bool:
    """Whether this is a named pipe, a process substitution (``<(command)``) or a piped standard input.

    Raises:
        AudioError: ``unreadable`` for what is neither that nor a regular file.
    """
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISFIFO(mode):
        raise AudioError("unreadable", "Is a directory" if stat.S_ISDIR(mode) else "not a file")
    return stat.S_ISFIFO(mode)


def read_pipe(descriptor: int) -> bytes:
    """Everything that comes through a pipe.

    Raises:
        AudioError: ``unreadable`` when nobody writes to it.
    """
    start = _what_is_there(descriptor)
    if start == b"":
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        came = waiting.poll(1000 * _PATIENCE)
        start = _what_is_there(descriptor)
        if start == b"" and not came:
            raise AudioError("unreadable", f"a named pipe that nobody opened to write for {_PATIENCE:g} s")
    os.set_blocking(descriptor, True)
    with open(descriptor, "rb", closefd=False) as stream:
        return (start or b"") + stream.read()


def _what_is_there(descriptor: int) -> bytes | None:
    """The next bytes of a pipe; none if nobody has its other end, None if nothing is written there yet."""
    try:
        return os.read(descriptor, 1 << 16)
    except BlockingIOError:
        return None


def wav_header(descriptor: int, offset: int = 0) -> WavHeader:
    """Parse the RIFF WAVE header at ``offset`` of an open file; behind byte 0 it is an entry of an archive.

    Raises:
        AudioError: see :func:`svmixer.audio.wav.wav_header_of`.
    """
    return wav_header_of(Span.of_file(descriptor, offset), in_archive=offset > 0)


def read_pcm16(place: int | bytes, header: WavHeader, start: int = 0, count: int | None = None) -> np.ndarray:
    """Samples ``start`` … ``start + count`` (default: to the end) as np.int16 (count, C), reading only those.

    Args:
        place: an open file, or its bytes.
        header: its own.

    Raises:
        AudioError: ``unreadable`` when the file ends too early or the header does not describe 16-bit PCM.
        IndexError: the range is not inside the recording.
    """
    if not header.is_pcm16:
        raise AudioError("unreadable", f"not 16-bit PCM (WAVE format {header.encoding}, {header.bits} bits)")
    count = header.num_samples - start if count is None else count
    if start < 0 or count < 0 or start + count > header.num_samples:
        raise IndexError(f"samples {start}…{start + count} of {header.num_samples}")
    first, size = header.data_offset + start * header.width, count * header.width
    data = pread_exactly(place, size, first) if isinstance(place, int) else place[first : first + size]
    return np.frombuffer(data, dtype="<i2").reshape(count, header.channels)


def pread_exactly(descriptor: int, size: int, offset: int) -> bytes:
    """``size`` bytes at ``offset``; one system call may return less (2 GB limit, network file systems).

    Raises:
        AudioError: ``unreadable`` at an early end of file; then no memory was taken for what is not there.
    """
    early = offset + size - os.fstat(descriptor).st_size
    if early > 0:
        raise AudioError("unreadable", f"truncated: the file ends {early} bytes early")
    data = os.pread(descriptor, size, offset)
    while len(data) < size:
        more = os.pread(descriptor, size - len(data), offset + len(data))
        if not more:
            raise AudioError("unreadable", f"truncated: the file ends {size - len(data)} bytes early")
        data += more
    return data


def ark_entry(descriptor: int, offset: int) -> bytes:
    """The audio file stored at ``offset``: ``RIFF…``, or kaldiio's ``AUDIO`` + length + a file of any format.

    Raises:
        AudioError: ``unreadable`` when something else is there (a feature matrix, the middle of an entry).
    """
    head = os.pread(descriptor, 16, offset)
    if head[:4] == b"RIFF" and len(head) >= 8:
        header = wav_header(descriptor, offset)
        return pread_exactly(descriptor, header.data_offset + header.data_bytes - offset, offset)
    if head[:5] == b"AUDIO" and len(head) > 6 + head[5]:
        size = int.from_bytes(head[6 : 6 + head[5]], "little")
        return pread_exactly(descriptor, size, offset + 6 + head[5])
    raise AudioError("unreadable", f"no audio at byte {offset} of the archive")
