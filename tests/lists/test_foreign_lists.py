"""Lists that are no UTF-8 text: each is named for what it is, and the command in the message repairs it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import subprocess
import zipfile

import pytest

from svmixer.lists import ListError, fix_data_dir, read_table, read_trials, validate_data_dir
from svmixer.lists.table import iter_lines
from svmixer.text_files import foreign_text

LINES = "a-1 /c/é 1.wav\nb-1 /c/b.wav\n"
ASCII = "a-1 /c/a.wav\nb-1 /c/b.wav\n"


def utf16(text: str, order: str, mark: bool) -> bytes:
    name = {"little": "utf-16-le", "big": "utf-16-be"}[order]
    return ("\ufeff" if mark else "").encode(name) + text.encode(name)


WIDE = {
    "PowerShell": (utf16(LINES.replace("\n", "\r\n"), "little", True), "UTF-16"),
    "PowerShell without mark": (utf16(ASCII.replace("\n", "\r\n"), "little", False), "UTF-16LE"),
    "little end first": (utf16(LINES, "little", False), "UTF-16LE"),
    "big end first": (utf16(ASCII, "big", False), "UTF-16BE"),
    "big end first with mark": (utf16(ASCII, "big", True), "UTF-16"),
    "ids of another script": (utf16("말-1 /c/말.wav\n", "little", False), "UTF-16LE"),
    "UTF-32": (LINES.encode("utf-32"), "UTF-32"),
    "UTF-32 without mark": (ASCII.encode("utf-32-le"), "UTF-32LE"),
    "long": (utf16(ASCII * 9000, "little", False), "UTF-16LE"),
}


def repaired(path, message: str) -> str:
    """The list after the command in ``message`` has run, without what the fixer takes away anyway."""
    subprocess.run(["sh", "-c", message.partition("; repair with: ")[2]], check=True)
    return path.read_text(encoding="utf-8-sig").replace("\r\n", "\n")


@pytest.mark.parametrize(("content", "encoding"), WIDE.values(), ids=WIDE)
def test_wide_encodings(content, encoding, write):
    path = write("my lists/wav.scp", content)
    with pytest.raises(ListError) as error:
        list(iter_lines(path))
    assert error.value.what == f"{encoding} text, not UTF-8"
    assert f"iconv -f {encoding} -t UTF-8 " in error.value.repair
    assert "ISO-8859-1" not in str(error.value)
    assert repaired(path, str(error.value)) == content.decode(encoding).lstrip("\ufeff").replace("\r\n", "\n")


def zipped(path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("wav.scp", ASCII * 50)


PACKERS = {
    "gzip": lambda path: path.write_bytes(gzip.compress((ASCII * 50).encode())),
    "bzip2": lambda path: path.write_bytes(bz2.compress((ASCII * 50).encode())),
    "xz": lambda path: path.write_bytes(lzma.compress((ASCII * 50).encode())),
    "zip": zipped,
}


@pytest.mark.parametrize("kind", PACKERS)
def test_packed_lists(kind, write):
    path = write("d/wav.scp", "")
    PACKERS[kind](path)
    for read in (read_table, read_trials):
        with pytest.raises(ListError) as error:
            read(path)
        assert error.value.what == f"compressed with {kind}"
    if kind != "zip":  # there may be no unzip here
        assert repaired(path, str(error.value)) == ASCII * 50
    assert error.value.repair.endswith(f" > {path}.utf8 && mv {path}.utf8 {path}")


def test_a_packed_list_is_unpacked_beside_it(write):
    path = write("d/utt2spk.gz", gzip.compress(b"a-1 a\n"))
    with pytest.raises(ListError, match="compressed with gzip") as error:
        read_table(path)
    subprocess.run(["sh", "-c", error.value.repair], check=True)
    assert path.with_suffix("").read_text() == "a-1 a\n"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"a-1 \0BFV \x04\x03\0\0\0\0\0\x80?\0\0\0@\0\0@@", "a binary archive"),
        (b"a-1 RIFF$\0\0\0WAVEfmt \x10\0\0\0\xff\xfe", "a binary archive"),
        (b"PK\x03\x04\x14\0\0\0\x08\0[Content_Types].xml\0\xff", "an office document"),
    ],
)
def test_files_that_no_command_turns_into_lists(content, what, write):
    with pytest.raises(ListError) as error:
        list(iter_lines(write("d/wav.scp", content)))
    assert error.value.what.startswith(what)
    assert error.value.repair is None


def test_other_binary_data_gets_no_command(write):
    with pytest.raises(ListError, match="not UTF-8: byte 0xff") as error:
        list(iter_lines(write("d/wav.scp", b"\xff\x01\0\x02\x9c\0")))
    assert error.value.repair is None


def test_eight_bit_text_is_still_told_to_look_at_it(write):
    with pytest.raises(ListError, match="not UTF-8: byte 0xe9 at column 8") as error:
        list(iter_lines(write("d/wav.scp", "a-1 /c/é.wav\n".encode("latin-1"))))
    assert error.value.repair.startswith("iconv -f ISO-8859-1 -t UTF-8 -o ")


def test_fixer_and_validator_say_the_same(data_dir):
    content = (data_dir / "utt2spk").read_text().replace("\n", "\r\n")
    for mark in (True, False):
        (data_dir / "utt2spk").write_bytes(utf16(content, "little", mark))
        for check in (fix_data_dir, validate_data_dir):
            with pytest.raises(ListError, match=r"utt2spk: UTF-16(LE)? text, not UTF-8; repair with: iconv"):
                check(data_dir)
        assert not (data_dir / ".backup").exists()


def test_a_zero_in_text_is_no_other_encoding(tmp_path):
    path = tmp_path / "utt2spk"
    path.write_bytes(b"u1 A\0\nu2 A\nu3 C\n")
    assert foreign_text(path) is None
