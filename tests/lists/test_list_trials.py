"""Trial lists in their three forms."""

from __future__ import annotations

import numpy as np
import pytest

from svmixer.lists import ListError, Trials, read_trials, utterance_of_path, write_trials

ROWS = [(1, "a", "b"), (0, "a", "c"), (1, "c", "a")]


@pytest.mark.parametrize(
    "text",
    [
        "1 a b\n0 a c\n1 c a\n",
        "target a b\nnontarget a c\ntarget c a\n",
        "a b target\na c nontarget\nc a target\n",
        "1\ta  b \n0 a c\n1 c a",
    ],
)
def test_forms(write, text):
    trials = read_trials(write("trials", text))
    assert list(trials.rows()) == ROWS
    assert len(trials) == 3
    assert trials.utterances == ["a", "b", "c"]
    np.testing.assert_array_equal(trials.labels, [1, 0, 1])
    np.testing.assert_array_equal(trials.enrol, [0, 0, 2])
    np.testing.assert_array_equal(trials.test, [1, 2, 0])
    assert (trials.labels.dtype, trials.enrol.dtype, trials.test.dtype) == (np.int8, np.int32, np.int32)


def test_utterances_named_like_labels(write):
    assert list(read_trials(write("trials", "1 0 target\n0 1 nontarget\n")).rows()) == [
        (1, "1", "0"),
        (0, "0", "1"),
    ]
    assert list(read_trials(write("trials", "1 0 1\n0 1 target\n")).rows()) == [
        (1, "0", "1"),
        (0, "1", "target"),
    ]


def test_test_utterance_named_like_a_label_word(write):
    text = "target a nontarget\nnontarget a b\n"
    assert list(read_trials(write("trials", text)).rows()) == [(1, "a", "nontarget"), (0, "a", "b")]


def test_voxceleb_paths(write):
    text = "1 id10270/x6uYqmx31kE/00001.wav id10270/8jEAjG6SegY/00008.wav\n"
    trials = read_trials(write("trials", text), utterance_of_path)
    assert trials.utterances == ["id10270-x6uYqmx31kE-00001", "id10270-8jEAjG6SegY-00008"]


@pytest.mark.parametrize(
    ("path", "utterance"),
    [("a/b/c.wav", "a-b-c"), ("a.b/c", "a.b-c"), ("x", "x"), ("a/b.c.flac", "a-b.c")],
)
def test_utterance_of_path(path, utterance):
    assert utterance_of_path(path) == utterance


@pytest.mark.parametrize(
    ("second", "what"),
    [
        ("2 a b", "expected '1|0 utterance1 utterance2'"),
        ("1 a", "found '1 a'"),
        ("1 a b c", "found"),
        ("", "blank"),
    ],
)
def test_bad_lines(write, second, what):
    with pytest.raises(ListError) as caught:
        read_trials(write("trials", f"1 a b\n{second}\n1 a c\n"))
    assert caught.value.line == 2
    assert what in caught.value.what


def test_form_is_kept_through_the_list(write):
    with pytest.raises(ListError, match=r"trials:2: expected 'utterance1 utterance2 target\|nontarget'"):
        read_trials(write("trials", "a b target\n1 a b\n"))


def test_empty(write):
    with pytest.raises(ListError, match="empty list"):
        read_trials(write("trials", ""))


def test_write(tmp_path):
    write_trials(tmp_path / "trials", Trials.from_rows(ROWS))
    assert (tmp_path / "trials").read_text() == "1 a b\n0 a c\n1 c a\n"
    with pytest.raises(ListError, match="cannot be an utterance id"):
        write_trials(tmp_path / "other", Trials.from_rows([(1, "a b", "c")]))
    assert not (tmp_path / "other").exists()
