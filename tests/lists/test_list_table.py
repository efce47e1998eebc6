"""Tables: what readers take, what they refuse and how they say it."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from svmixer.lists import (
    ListError,
    iter_table,
    read_table,
    read_utt2spk,
    spk2utt_from,
    write_spk2utt,
    write_table,
)


def test_read_keeps_order_and_inner_blanks(write):
    path = write("wav.scp", "b /x/y z.wav\na\tsox  in.mp3 -t wav - | \n  c \t/q.wav\n")
    assert list(iter_table(path)) == [
        (1, "b", "/x/y z.wav"),
        (2, "a", "sox  in.mp3 -t wav - |"),
        (3, "c", "/q.wav"),
    ]
    assert read_table(path) == {"b": "/x/y z.wav", "a": "sox  in.mp3 -t wav - |", "c": "/q.wav"}


def test_last_line_needs_no_newline(write):
    assert read_table(write("wav.scp", "a 1\nb 2")) == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("content", "line", "utterance", "what"),
    [
        (b"a x\r\nb y\r\n", 1, None, "carriage return"),
        (b"a x\nb y\r\n", 2, None, "carriage return"),
        (b"\xef\xbb\xbfa x\n", 1, None, "byte-order mark"),
        (b"a x\n\nb y\n", 2, None, "blank line"),
        (b"a x\nb \n", 2, "b", "no value"),
        (b"a x\nb\n", 2, "b", "no value"),
        (b"a x\nb y\na x\n", 3, "a", "the same line is listed twice"),
    ],
)
def test_refusals_name_place_and_repair(write, content, line, utterance, what):
    path = write("d/wav.scp", content)
    with pytest.raises(ListError) as caught:
        read_table(path)
    error = caught.value
    assert (error.path, error.line, error.utterance) == (path, line, utterance)
    assert what in error.what
    assert error.repair == f"svmixer fix_data_dir --data_dir {path.parent}"
    who = f"utterance {utterance}: " if utterance else ""
    assert str(error) == f"{path}:{line}: {who}{error.what}; repair with: {error.repair}"


def test_conflicting_duplicate_has_no_automatic_repair(write):
    path = write("wav.scp", "a x\nb y\na z\n")
    with pytest.raises(ListError, match=r"wav.scp:3: utterance a: .*'x' and 'z'$") as caught:
        read_table(path)
    assert caught.value.repair is None


def test_encoding_error_names_line_and_column(write):
    # The bad byte lies beyond the decoder's first block: its position there says nothing about the line.
    lines = [f"utt{i:06d} /corpus/file{i}.wav".encode() for i in range(5000)]
    lines[4321] = b"utt004321 /corpus/caf\xe9.wav"
    with pytest.raises(ListError) as caught:
        read_table(write("wav.scp", b"\n".join(lines)))
    assert caught.value.line == 4322
    assert "byte 0xe9 at column 22" in caught.value.what
    assert "iconv" in caught.value.repair


def test_repair_of_a_file_that_is_no_list_of_a_data_directory(write):
    with pytest.raises(ListError) as caught:
        read_table(write("my list.txt", "a x\r\n"))
    assert caught.value.repair.startswith(r"sed -i 's/\r$//' ")
    assert caught.value.repair.endswith("my list.txt'")


def test_missing_and_empty_files(write, tmp_path):
    with pytest.raises(ListError, match=r"absent: cannot be read: No such file"):
        read_table(tmp_path / "absent")
    with pytest.raises(ListError, match="empty list"):
        read_table(write("wav.scp", ""))


@pytest.mark.parametrize("key", ["a\u00a0b", "a\u3000b", "a\x07b", "\ufeffa", "a\u2028b"])
def test_ids_with_hidden_white_space_are_refused(write, key):
    with pytest.raises(ListError, match="inside the id") as caught:
        read_table(write("wav.scp", f"a x\n{key} y\n"))
    assert caught.value.line == 2


def test_write_sorts_as_the_c_locale_does(write, tmp_path):
    keys = ["b", "B", "a-1", "a", "a_1", "ä", "a1", "\U0001f600", "\uff5e", "10", "9"]
    write_table(tmp_path / "t", dict.fromkeys(keys, "v"))
    unsorted = write("u", "".join(f"{key} v\n" for key in keys))
    by_sort = subprocess.run(
        ["sort", str(unsorted)], env={"LC_ALL": "C"}, capture_output=True, check=True
    ).stdout
    assert (tmp_path / "t").read_bytes() == by_sort


@pytest.mark.parametrize(
    "items",
    [
        [("a", "x"), ("a", "y")],
        [("", "x")],
        [("a b", "x")],
        [("a\tb", "x")],
        [("a", "")],
        [("a", "  ")],
        [("a", "x\ny")],
        [("a", "x\ry")],
        [("a", "caf\udce9.wav")],
    ],
)
def test_write_refuses_what_could_not_be_read_back(tmp_path, items):
    with pytest.raises(ListError):
        write_table(tmp_path / "t", items)
    assert list(tmp_path.iterdir()) == []


def test_utt2spk_shares_speaker_strings(write):
    table = read_utt2spk(write("utt2spk", "a-1 a\na-2 a\nb-1 b\n"))
    assert table == {"a-1": "a", "a-2": "a", "b-1": "b"}
    assert table["a-1"] is table["a-2"]


def test_utt2spk_with_two_words(write):
    with pytest.raises(ListError, match="utterance a-2: expected one speaker, found 'a b'"):
        read_utt2spk(write("utt2spk", "a-1 a\na-2 a b\n"))


def test_spk2utt(tmp_path):
    utt2spk = {"u3": "s2", "u1": "s1", "u2": "s2"}
    assert spk2utt_from(utt2spk) == {"s1": ["u1"], "s2": ["u2", "u3"]}
    write_spk2utt(tmp_path / "spk2utt", utt2spk)
    assert (tmp_path / "spk2utt").read_text() == "s1 u1\ns2 u2 u3\n"


def test_errors_travel_between_processes():
    error = ListError("bad", path="wav.scp", line=3, utterance="a", repair="fix it")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error) == "wav.scp:3: utterance a: bad; repair with: fix it"
    assert (copy.line, copy.repair) == (3, "fix it")


def test_lists_do_not_import_torch():
    code = "import sys, svmixer.lists; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
