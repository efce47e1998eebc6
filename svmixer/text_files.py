"""Files that are no UTF-8 text where a list or configuration is wanted: what they are, and the way to it."""

from __future__ import annotations

import shlex
from pathlib import Path

_HEAD = 1 << 16  # bytes that are looked at
_LATIN = "iconv -f ISO-8859-1 -t UTF-8 -o {name}.utf8 {name}  (if ISO-8859-1 is what it is)"
# First bytes → what starts with them, command that prints its text.
_PACKED = {
    b"\x1f\x8b": ("gzip", "gzip -dc < {name}"),
    b"BZh": ("bzip2", "bzip2 -dc < {name}"),
    b"\xfd7zXZ\0": ("xz", "xz -dc < {name}"),
    b"\x28\xb5\x2f\xfd": ("Zstandard", "zstd -dc < {name}"),
    b"PK\x03\x04": ("zip", "unzip -p {name}"),
}
_ENDINGS = (".gz", ".bz2", ".xz", ".zst", ".zip")
# The longer marks first: UTF-32's begins with UTF-16's.
_MARKS = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def foreign_text(path: str | Path) -> tuple[str, str | None] | None:
    """What a file is that is no UTF-8 text, and the command that makes UTF-8 of it.

    Returns:
        (what it is, command or ``None`` where no command helps), or ``None`` where nothing is recognised:
        text in another 8-bit encoding, probably.
    """
    head, name = _head(path), shlex.quote(str(path))
    for start, (kind, command) in _PACKED.items():
        if head.startswith(start):
            if kind == "zip" and b"[Content_Types].xml" in head:
                return "an office document, not text: save it as text from the program that made it", None
            return f"compressed with {kind}", _written(command.format(name=name), str(path))
    encoding = _wide_encoding(head)
    if encoding:
        return f"{encoding} text, not UTF-8", _written(f"iconv -f {encoding} -t UTF-8 {name}", str(path))
    if b"\0B" in head or b" RIFF" in head[:256]:
        return "a binary archive (Kaldi's .ark), not a list: its list is the .scp beside it", None
    return None


def encoding_repair(path: str | Path) -> str | None:
    """The command for text in another 8-bit encoding, which nothing in it tells; ``None`` for no text."""
    if b"\0" in _head(path):
        return None
    return _LATIN.format(name=shlex.quote(str(path)))


def _head(path: str | Path) -> bytes:
    with open(path, "rb") as stream:
        return stream.read(_HEAD)


def _written(command: str, path: str) -> str:
    """``command`` with its output in the place of ``path``, or beside it under its name without ending."""
    plain = Path(path)
    if plain.suffix in _ENDINGS:
        return f"{command} > {shlex.quote(str(plain.with_suffix('')))}"
    name, new = shlex.quote(path), shlex.quote(f"{path}.utf8")
    return f"{command} > {new} && mv {new} {name}"


def _wide_encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32 with its byte order if there is no mark, or ``None``.

    Lists have blanks and line ends, whatever their ids: of those all bytes but one are zero.
    """
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    for encoding, width in (("UTF-32LE", 4), ("UTF-32BE", 4), ("UTF-16LE", 2), ("UTF-16BE", 2)):
        whole = head[: len(head) // width * width]
        try:
            text = whole.decode(encoding, "strict" if len(head) < _HEAD else "ignore")
        except UnicodeDecodeError:
            continue
        plain = text.replace("\r", "").replace("\n", "").replace("\t", "")
        # The same bytes in the other order, and 8-bit text with a zero, are printable, too, but the first
        # line of a list has a blank between its fields.
        if plain.isprintable() and len(text.partition("\n")[0].split()) > 1:
            return encoding
    return None
