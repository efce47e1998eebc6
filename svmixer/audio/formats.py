"""The formats of recordings: what tells them, the endings of their files, and what decodes them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from svmixer.audio.errors import AudioError

_BUFFER = 4096  # enough for what stands in front of the samples in most files: one system call


class Span:
    """The bytes of one recording, in an open file or in memory, counted from its first.

    Attributes:
        size: how many there are; in an archive those of later entries are among them.
        base: where it begins in the file or in memory.
    """

    def __init__(self, read: Callable[[int, int], bytes], end: int, base: int = 0):
        self._read = read  # (position in the file, size) → bytes, fewer at its end
        self._end = end
        self._head = b""
        self.base = base
        self.size = max(0, end - base)

    @classmethod
    def of_file(cls, descriptor: int, base: int = 0) -> Span:
        """All of an open file from byte ``base`` on."""
        end = os.fstat(descriptor).st_size

        def read(position: int, size: int) -> bytes:
            size = min(size, end - position)
            data = os.pread(descriptor, size, position)
            while len(data) < size:  # one system call gives 2 GB at most
                more = os.pread(descriptor, size - len(data), position + len(data))
                if not more:
                    break
                data += more
            return data

        return cls(read, end, base)

    @classmethod
    def of_bytes(cls, data: bytes) -> Span:
        def read(position: int, size: int) -> bytes:
            return data[position : position + size]

        return cls(read, len(data))

    def take(self, position: int, size: int) -> bytes:
        """``size`` bytes from ``position`` on, fewer at the end."""
        if position >= self.size:  # also positions that no file has
            return b""
        if position + size > _BUFFER:
            return self._read(self.base + position, size)
        if not self._head:
            self._head = self._read(self.base, _BUFFER)
        return self._head[position : position + size]

    def after(self, count: int) -> Span:
        """What follows the first ``count`` bytes."""
        return Span(self._read, self._end, self.base + count)


HEAD_BYTES = 16  # of a file's beginning tell its format
# Tags in front of the audio; a file has one or two.
_MOST_TAGS = 10


@dataclass(frozen=True, slots=True)
class Format:
    """One format of recordings."""

    name: str
    # What the file begins with; None: nothing of its own, the ending tells.
    begins: re.Pattern[bytes] | None
    # Endings of such files, in lower case.
    endings: frozenset[str]
    # Read by libsndfile if it can, FFmpeg's libraries otherwise; False: by FFmpeg's alone.
    sndfile: bool = False
    # FFmpeg's name of a headerless format; None lets the content decide.
    demuxer: str | None = None


def _format(name: str, begins: bytes, endings: str, **options) -> Format:
    pattern = re.compile(begins, re.DOTALL) if begins else None
    return Format(name, pattern, frozenset(endings.split()), **options)


FORMATS = (
    _format("WAV", rb"(RIFF|RIFX)....WAVE", ".wav .wave .bwf", sndfile=True),
    _format("RF64", rb"(RF64|BW64)....WAVE", ".rf64 .bw64", sndfile=True),
    _format("Wave64", rb"riff\x2e\x91\xcf\x11", ".w64", sndfile=True),
    _format("AIFF", rb"FORM....AIF[FC]", ".aif .aiff .aifc", sndfile=True),
    _format("8SVX", rb"FORM....(8SVX|16SV)", ".8svx .svx", sndfile=True),
    _format("AU", rb"\.snd|dns\.", ".au .snd", sndfile=True),
    _format("CAF", rb"caff", ".caf", sndfile=True),
    _format("SPHERE", rb"NIST_1A", ".sph .nist .wv1 .wv2", sndfile=True),
    _format("FLAC", rb"fLaC", ".flac", sndfile=True),
    _format("Ogg", rb"OggS", ".ogg .oga .opus .spx", sndfile=True),
    _format("MP4", rb"....(ftyp|moov|mdat|wide|free|skip)", ".m4a .m4b .mp4 .mov .3gp .3g2"),
    _format("Matroska", rb"\x1a\x45\xdf\xa3", ".mka .mkv .webm"),
    _format("ASF", rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", ".wma .asf"),
    _format("AMR", rb"#!AMR(-WB)?\n", ".amr .awb"),
    _format("WavPack", rb"wvpk", ".wv"),
    _format("VOC", rb"Creative Voice F", ".voc"),
    _format("G.722", b"", ".g722", demuxer="g722"),
    _format("GSM", b"", ".gsm", demuxer="gsm"),
    # Two bytes are hardly a mark: they come after the names. The sync word with layer 0, and with I to III.
    _format("AAC", rb"\xff[\xf0\xf1\xf8\xf9]", ".aac"),
    _format("MP3", rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]", ".mp3 .mp2 .mpga"),
)
# The endings that a search for recordings takes: of all formats that can be read, and of no others.
AUDIO_SUFFIXES = frozenset().union(*(known.endings for known in FORMATS))
_MP3 = next(known for known in FORMATS if known.name == "MP3")


def format_of(head: bytes, name: str = "") -> Format:
    """The format of a file that begins with ``head`` (16 bytes) and is called ``name``.

    The content decides; the name does where the content has no mark of its own.

    Raises:
        AudioError: ``unreadable`` when neither is known.
    """
    suffix = os.path.splitext(name)[1].lower()
    for known in FORMATS:
        if known.begins.match(head) if known.begins else suffix in known.endings:
            return known
    raise AudioError("unreadable", f"no known audio format (begins with {head[:8]!r})")


def recognise(span: Span, name: str = "") -> tuple[Format, Span]:
    """The format of a recording and where it begins: behind the ID3 tags that some programs put in front.

    Raises:
        AudioError: ``unreadable`` when it is none that can be read.
    """
    inner, tagged = span, False
    for _ in range(_MOST_TAGS):
        size = _tag_size(inner.take(0, 10))
        if not size:
            break
        inner, tagged = inner.after(size), True
    try:
        known = format_of(inner.take(0, HEAD_BYTES), name)
    except AudioError:
        if not tagged:
            raise
        known = _MP3  # there may be padding between the tag and the first frame
    return known, inner


def _tag_size(head: bytes) -> int:
    """Bytes of the ID3v2 tag that begins with ``head``; 0 if none does."""
    if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 127:
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte
    return size + (20 if head[5] & 0x10 else 10)  # with a footer
