"""What the headers of recordings promise, compared with the bytes that are there.

Decoders take what they find: libsndfile reads half of an AIFF file without a word, FFmpeg half of a Matroska
file. A recording that was cut off must not pass for a short one.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator

from svmixer.audio.errors import AudioError
from svmixer.audio.formats import Format, Span
from svmixer.audio.wav import check_present, only_chunks, riff_chunks, wav_header_of

# A change of a header: position and the bytes that belong there.
Patch = tuple[int, bytes]
_HUGE = 1 << 62  # as a length: unknown
_W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def check_complete(known: Format, span: Span) -> Patch | None:
    """Refuse a recording that was cut off.

    Returns:
        What to write into the header so that decoders find the samples: programs that were stopped, or that
        write into a pipe, leave a length there that means nothing. None: the header is as it should be.

    Raises:
        AudioError: ``unreadable: truncated`` when less is there than the header promises.
    """
    check = _CHECKS.get(known.name)
    return check(span) if check else None


def _wav(span: Span) -> Patch | None:
    return wav_header_of(span).patch


def _w64(span: Span) -> Patch | None:
    position = 40
    while len(head := span.take(position, 24)) == 24:
        size = struct.unpack("<q", head[16:])[0]
        if head[:16] == _W64_DATA:
            if 24 <= size < _HUGE:
                check_present("Wave64", span, position + 24, size - 24)
                return None
            return position + 16, struct.pack("<q", span.size - position)
        if not 24 <= size < _HUGE:
            return None
        position += (size + 7) // 8 * 8
    return None


def _iff(span: Span) -> Patch | None:
    for name, position, size in riff_chunks(span, 12, ">"):
        if name not in (b"SSND", b"BODY"):
            continue
        empty = 8 if name == b"SSND" else 0
        if size == empty and not only_chunks(riff_chunks(span, position + size, ">"), span):
            return position - 4, struct.pack(">I", span.size - position)
        if 0 < size < 0x7F000000:  # sox writes that and a little more into pipes, FFmpeg 0: both are read
            check_present("AIFF" if empty else "8SVX", span, position, size)
        break
    return None


def _au(span: Span) -> Patch | None:
    order = "<" if span.take(0, 1) == b"d" else ">"
    head = span.take(4, 8)
    if len(head) == 8:
        start, size = struct.unpack(order + "II", head)
        if size == 0 and span.size > start:
            return 8, struct.pack(order + "I", min(span.size - start, 0xFFFFFFFF))
        if size != 0xFFFFFFFF:
            check_present("AU", span, start, size)
    return None


def _caf_chunks(span: Span, position: int) -> Iterator[tuple[bytes, int, int]]:
    while len(head := span.take(position, 12)) == 12:
        size = struct.unpack(">q", head[4:])[0]
        yield head[:4], position + 12, size
        if size < 0:
            return
        position += 12 + size


def _caf(span: Span) -> Patch | None:
    for name, position, size in _caf_chunks(span, 8):
        if name == b"data":
            known = size > 4 or only_chunks(_caf_chunks(span, position + max(size, 0)), span)
            if not known:  # 4 bytes in front of the samples belong to them
                return position - 8, struct.pack(">q", span.size - position)
            check_present("CAF", span, position, size)
            break
    return None


def _sphere(span: Span) -> Patch | None:
    text = span.take(0, 1024).decode("ascii", "replace")
    fields = dict(re.findall(r"^(\w+) -\w+ (.*)$", text, re.MULTILINE))
    try:
        start = int(text.splitlines()[1])
        size = int(fields["sample_count"]) * int(fields["channel_count"]) * int(fields["sample_n_bytes"])
    except (IndexError, KeyError, ValueError):
        return None  # no length: what is there counts
    if "," not in fields.get("sample_coding", ""):  # "pcm,embedded-shorten-v2.00": compressed
        check_present("SPHERE", span, start, size)
    return None


def _ogg(span: Span) -> None:
    for position, size in ogg_pages(span):
        check_present("Ogg page", span, position, size, "bytes")


def ogg_pages(span: Span) -> Iterator[tuple[int, int]]:
    """Position and size of each page, the last of which may not be there whole."""
    position = 0
    while head := span.take(position, 282):
        if head[:4] != b"OggS"[: len(head)]:
            return  # something else behind the last page
        size = 27
        if len(head) >= 27:
            size += head[26] + sum(head[27 : 27 + head[26]])
        yield position, size
        position += size


def ogg_links(span: Span) -> list[int]:
    """Where the recordings of an Ogg file begin: several may stand one after another."""
    links, began = [0], False
    for position, _ in ogg_pages(span):
        first = bool(span.take(position + 5, 1)[0] & 2)  # the page begins a stream
        if first and began:
            links.append(position)
        began = not first
    return links


def _mp3(span: Span) -> None:
    """What encoders write into the first frame: the number of bytes and of frames."""
    head = span.take(0, 256)
    if place := re.search(rb"(Xing|Info)...[\x03\x07\x0b\x0f]", head, re.DOTALL):
        numbers = head[place.end() : place.end() + 8]
        frames, size = struct.unpack(">II", numbers) if len(numbers) == 8 else (0, 0)
    elif (place := head.find(b"VBRI")) > 0 and len(head) >= place + 18:
        size, frames = struct.unpack(">II", head[place + 10 : place + 18])
    else:
        return
    # Programs do not agree whether the first frame is counted.
    if frames and span.size + 2 * size // frames < size:
        check_present("MP3", span, 0, size, "bytes")


def _mp4(span: Span) -> None:
    position = 0
    while len(head := span.take(position, 16)) >= 8:
        size, width = struct.unpack(">I", head[:4])[0], 8
        if size == 1 and len(head) == 16:
            size, width = struct.unpack(">Q", head[8:])[0], 16
        if size < width:
            return  # 0: to the end of the file
        check_present("MP4", span, position, size, "bytes")
        position += size


def _matroska(span: Span) -> None:
    position = 0
    for name in (_EBML, _SEGMENT):
        head = span.take(position, 12)
        if head[:4] != name or len(head) < 5 or not head[4]:
            return
        length = 9 - head[4].bit_length()
        digits = head[4 : 4 + length]
        size = int.from_bytes(digits, "big") - (1 << 7 * length)
        if size == (1 << 7 * length) - 1:
            return  # unknown: it was written into a pipe
        position += 4 + length
        check_present("Matroska", span, position, size, "bytes")
        position += size


def _asf(span: Span) -> None:
    head = span.take(0, 4096)
    place = head.find(_ASF_PROPERTIES)
    if place < 0 or len(head) < place + 92:
        return
    size = struct.unpack("<Q", head[place + 40 : place + 48])[0]
    is_broadcast = head[place + 88] & 1
    if not is_broadcast:
        check_present("ASF", span, 0, size, "bytes")


def _wavpack(span: Span) -> None:
    position = 0
    while len(head := span.take(position, 8)) == 8 and head[:4] == b"wvpk":
        size = struct.unpack("<I", head[4:])[0] + 8
        check_present("WavPack block", span, position, size, "bytes")
        position += size


def _voc(span: Span) -> None:
    head = span.take(20, 2)
    position = struct.unpack("<H", head)[0] if len(head) == 2 else 0
    # sox writes lengths that are 8 bytes short: what looks like a further block is the end of the samples.
    while position and span.size - position > 16 and (head := span.take(position, 4))[0]:
        size = int.from_bytes(head[1:], "little")
        check_present("VOC block", span, position + 4, size)
        position += 4 + size


def _gsm(span: Span) -> None:
    if rest := span.size % 33:
        raise AudioError("unreadable", f"truncated: the last frame has {rest} of 33 bytes")


_CHECKS: dict[str, Callable[[Span], Patch | None]] = {
    "WAV": _wav,
    "RF64": _wav,
    "Wave64": _w64,
    "AIFF": _iff,
    "8SVX": _iff,
    "AU": _au,
    "CAF": _caf,
    "SPHERE": _sphere,
    "Ogg": _ogg,
    "MP3": _mp3,
    "MP4": _mp4,
    "Matroska": _matroska,
    "ASF": _asf,
    "WavPack": _wavpack,
    "VOC": _voc,
    "GSM": _gsm,
}
