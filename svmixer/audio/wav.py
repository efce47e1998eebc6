"""RIFF WAVE headers, with 64-bit lengths (RF64, BW64) and big-endian (RIFX), too."""

from __future__ import annotations

import dataclasses
import re
import struct
from collections.abc import Iterable, Iterator

from svmixer.audio.errors import AudioError
from svmixer.audio.formats import Span

_PCM, _EXTENSIBLE = 0x0001, 0xFFFE
# Far more than any program writes before the samples; a file full of empty chunks would take hours to walk.
_MOST_CHUNKS = 1000
_ORDERS = {b"RIFF": "<", b"RF64": "<", b"BW64": "<", b"RIFX": ">"}
# How the next entry of an archive begins: its key, a space, and a file or a matrix.
_NEXT_ENTRY = re.compile(rb"\S{1,1000} (RIFF|AUDIO|\0B)")


@dataclasses.dataclass(frozen=True)
class WavHeader:
    """The facts of a RIFF WAVE header."""

    rate: int  # samples per second, as written in the header
    channels: int
    encoding: int  # WAVE format tag: 1 PCM, 3 float, 6 A-law, 7 mu-law
    bits: int  # bits per sample of one channel
    data_offset: int  # position of the first sample, in bytes from the start of the file
    data_bytes: int
    order: str = "<"  # of the bytes in a number, as struct has it
    # Position in the recording and bytes that state the length to decoders which take what is written there
    # for it; None: they find the samples without.
    patch: tuple[int, bytes] | None = None

    @property
    def num_samples(self) -> int:
        """Samples of one channel."""
        return self.data_bytes // self.width

    @property
    def width(self) -> int:
        """Bytes of one sample of all channels; 1 where several samples share their bytes."""
        return max(1, self.channels * self.bits // 8)

    @property
    def is_pcm16(self) -> bool:
        """Whether the samples can be read without a decoder."""
        little = self.order == "<"
        return little and self.encoding == _PCM and self.bits == 16 and self.channels >= 1 and self.rate >= 1


def riff_chunks(span: Span, position: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, position of the content and its declared size of each chunk from ``position`` on."""
    for _ in range(_MOST_CHUNKS):
        head = span.take(position, 8)
        if len(head) < 8:
            return
        size = struct.unpack(order + "I", head[4:])[0]
        yield head[:4], position + 8, size
        position += 8 + size + size % 2


def only_chunks(chunks: Iterable[tuple[bytes, int, int]], span: Span) -> bool:
    """Whether all that follows an empty chunk of samples is further chunks (a title, say), or nothing."""
    end = span.size
    for name, position, size in chunks:
        if not re.fullmatch(rb"[\w ]{4}", name) or position + size > span.size:
            return False
        end = position + size
    return span.size - end <= 1  # an odd size is padded


def check_present(name: str, span: Span, start: int, size: int, what: str = "bytes of samples") -> None:
    """Refuse a recording that ends before ``start + size``.

    Raises:
        AudioError: ``unreadable: truncated``.
    """
    present = max(0, span.size - start)
    if present < size:
        promise = f"truncated: the {name} header promises {size} {what}, {present} are there"
        raise AudioError("unreadable", promise)


def wav_header_of(span: Span, in_archive: bool = False) -> WavHeader:
    """Parse a RIFF WAVE header.

    Args:
        span: the recording.
        in_archive: other entries may follow it.

    Raises:
        AudioError: ``unreadable`` when it is no RIFF WAVE, has no format or data, or promises more bytes
            than there are.
    """
    head = span.take(0, 12)
    if head[:4] not in _ORDERS or head[8:12] != b"WAVE":
        raise AudioError("unreadable", f"no WAV header at byte {span.base}")
    order = _ORDERS[head[:4]]
    layout = wide = None
    for name, position, size in riff_chunks(span, 12, order):
        if name == b"fmt " and size >= 16:
            layout = _wav_format(span.take(position, min(size, 40)), order)
        elif name == b"ds64" and size >= 16:
            wide = position + 8
        elif name == b"data":
            if layout is None:
                break
            header = WavHeader(*layout, span.base + position, 0, order)
            return _with_length(header, span, position, size, wide, in_archive)
    raise AudioError("unreadable", f"WAV header at byte {span.base} without {'data' if layout else 'format'}")


def _wav_format(chunk: bytes, order: str) -> tuple[int, int, int, int]:
    if len(chunk) < 16:
        raise AudioError("unreadable", "WAV header cut off")
    encoding, channels, rate, _, _, bits = struct.unpack(order + "HHIIHH", chunk[:16])
    if encoding == _EXTENSIBLE and len(chunk) >= 26:
        encoding = struct.unpack(order + "H", chunk[24:26])[0]
    return rate, channels, encoding, bits


def _is_unknown(size: int) -> bool:
    """What programs that write into a pipe leave as the length: 0x7FFFF000 (sox), 0xFFFFFFFF (ffmpeg) …"""
    return 0x7FFF0000 <= size <= 0x80000000 or size >= 0xFFFF0000


def _with_length(
    header: WavHeader, span: Span, position: int, size: int, wide: int | None, in_archive: bool
) -> WavHeader:
    """The header with the number of bytes that are samples, which may differ from the one it states."""
    field, form, unknown = position - 4, header.order + "I", _is_unknown(size)
    if size != 0xFFFFFFFF:
        wide = None
    if wide is not None:
        field, form = wide, "<Q"
        size = struct.unpack(form, span.take(wide, 8).ljust(8, b"\0"))[0]
        unknown = size >= 1 << 62
    present = max(0, span.size - position)
    patch = None
    if size == 0 and _more_follows(header, span, position, in_archive):
        # Where four bytes may be too few, all ones stand for "to the end".
        size, patch = present, (field, struct.pack(form, present if wide else 0xFFFFFFFF))
    elif size > present:
        if unknown and not in_archive:
            size, patch = present, (field, struct.pack(form, present)) if wide else None
        else:
            # Half a sample more or less is none.
            check_present("WAV", span, position, size // header.width * header.width)
            size = present
    return dataclasses.replace(header, data_bytes=size, patch=patch)


def _more_follows(header: WavHeader, span: Span, position: int, in_archive: bool) -> bool:
    """Whether there are samples although the header has a length of 0: its program was stopped early."""
    if only_chunks(riff_chunks(span, position, header.order), span):
        return False
    if in_archive:
        if _NEXT_ENTRY.match(span.take(position, 1100)):
            return False
        what = "truncated: the WAV header promises no samples, but there are some"
        raise AudioError("unreadable", f"{what}; in an archive nothing tells where they end")
    return True
