"""segments and parts."""

from __future__ import annotations

import pytest

from svmixer.lists import ListError, read_parts, read_segments, write_parts


def test_segments(write):
    path = write("segments", "u1 r1 0 1.5\nu2 r1 1.5 -1\n")
    assert read_segments(path) == {"u1": ("r1", 0.0, 1.5), "u2": ("r1", 1.5, -1.0)}


def test_parts(write):
    path = write("parts", "u1 r1 0.25 1 r2 0 -1\nu2 r3 0 2\n")
    assert read_parts(path) == {"u1": [("r1", 0.25, 1.0), ("r2", 0.0, -1.0)], "u2": [("r3", 0.0, 2.0)]}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("u r 1 1", "end 1 is not after start 1"),
        ("u r 2 1.5", "end 1.5 is not after start 2"),
        ("u r -0.5 1", "not negative"),
        ("u r 0 nan", "finite"),
        ("u r 0 inf", "finite"),
        ("u r zero 1", "not times in seconds"),
        ("u r 0", "expected <recording> <start> <end>"),
        ("u r 0 1 2 r", "expected <recording> <start> <end>"),
    ],
)
def test_bad_times(write, line, what):
    for name, read in (("segments", read_segments), ("parts", read_parts)):
        with pytest.raises(ListError) as caught:
            read(write(name, f"t r 0 1\n{line}\n"))
        assert what in caught.value.what
        assert (caught.value.line, caught.value.utterance) == (2, "u")


def test_parts_name_no_channel(write):
    with pytest.raises(ListError, match="expected <recording> <start> <end> once or more, found 'r 0 1 2'"):
        read_parts(write("parts", "u r 0 1 2\n"))


def test_segments_has_one_piece_only(write):
    with pytest.raises(ListError, match="expected <recording> <start> <end>, found"):
        read_segments(write("segments", "u r 0 1 r 1 2\n"))


def test_duplicates(write):
    with pytest.raises(ListError, match="the same line is listed twice"):
        read_segments(write("segments", "u r 0 1\nu r 0.0 1.0\n"))
    with pytest.raises(ListError, match="different values"):
        read_parts(write("parts", "u r 0 1\nu r 0 1 r 1 2\n"))


def test_empty(write):
    with pytest.raises(ListError, match="empty list"):
        read_segments(write("segments", ""))
    with pytest.raises(ListError, match="empty list"):
        read_parts(write("parts", ""))


def test_write_parts(tmp_path):
    parts = {"u2": [("r", 0.0, -1.0)], "u1": [("r1", 0.1, 1 / 3), ("r2", 2.0, 1e-7 + 2.0)]}
    write_parts(tmp_path / "parts", parts)
    assert read_parts(tmp_path / "parts") == parts
    assert (tmp_path / "parts").read_text().splitlines()[1] == "u2 r 0 -1"
