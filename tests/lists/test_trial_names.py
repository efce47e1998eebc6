"""Names in trials: ids, paths of wav.scp, and what the message says about others."""

from __future__ import annotations

import pytest

from svmixer.lists import DataDirError, ListError, fix_data_dir, validate_data_dir
from svmixer.lists.trial_names import TrialNames

SCP = """\
u1 /corpus/id1/x/001.wav
u2 /corpus/id1/y/001.wav
u3 /corpus/id2/z/002.flac
u4 sox /corpus/q.mp3 -t wav - |
"""


@pytest.fixture
def folder(write):
    write("d/wav.scp", SCP)
    write("d/utt2spk", "u1 s1\nu2 s1\nu3 s2\nu4 s2\n")
    return write("d/spk2utt", "s1 u1 u2\ns2 u3 u4\n").parent


def fixed(folder, trials: str) -> str:
    (folder / "trials").write_text(trials)
    fix_data_dir(folder)
    validate_data_dir(folder)
    return (folder / "trials").read_text()


@pytest.mark.parametrize(
    "trials",
    [
        "1 /corpus/id1/x/001.wav /corpus/id1/y/001.wav\n0 /corpus/id1/x/001.wav /corpus/id2/z/002.flac\n",
        "1 id1/x/001.wav id1/y/001.wav\n0 x/001.wav 002.flac\n",
        "1 ./id1/x/001 id1/y/001\n0 u1 z/002\n",
    ],
)
def test_paths_of_wav_scp(folder, trials):
    assert fixed(folder, trials) == "1 u1 u2\n0 u1 u3\n"


def test_a_path_that_is_the_end_of_two_is_nobodys(folder):
    names = TrialNames.read(folder)
    assert names.find("001.wav") is None
    assert names.find("002") is None, "a word alone is an id, not a file"
    assert names.find("id9/x/001.wav") is None
    assert names.find("u4") == "u4"


def test_an_id_goes_before_a_path(write):
    write("d/wav.scp", "a.wav /c/b.wav\nb.wav /c/a.wav\n")
    names = TrialNames.read(write("d/utt2spk", "a.wav s\nb.wav s\n").parent)
    assert names.find("a.wav") == "a.wav"
    assert names.find("/c/a.wav") == "b.wav"


def test_paths_of_recordings_with_segments(folder, write):
    write("d/segments", "p1 u1 0 1\np2 u2 0 1\np3 u3 0 1\np4 u3 1 2\n")
    write("d/utt2spk", "p1 s1\np2 s1\np3 s2\np4 s2\n")
    write("d/spk2utt", "s1 p1 p2\ns2 p3 p4\n")
    assert fixed(folder, "1 x/001.wav y/001.wav\n0 p1 p3\n0 p1 z/002.flac\n") == "1 p1 p2\n0 p1 p3\n"


@pytest.mark.parametrize(
    ("trials", "what"),
    [
        ("1 model-7 u2\n0 model-7 u3\n", "'model-7' is no utterance of the set"),
        ("1 u1 s1\n0 u2 s2\n", "'s1' is a speaker, no utterance"),
        ("1 001.wav u2\n", "'001.wav' is no utterance of the set"),
    ],
)
def test_no_trial_is_left(folder, trials, what):
    (folder / "trials").write_text(trials)
    for check, error in ((fix_data_dir, ListError), (validate_data_dir, DataDirError)):
        with pytest.raises(error) as raised:
            check(folder)
        assert f"{what}: trials name utterances by ids of wav.scp, such as 'u1'" in str(raised.value)
        assert "by paths of wav.scp" in str(raised.value)
        assert "enroll.map" in str(raised.value)
    assert (folder / "trials").read_text() == trials


def test_validator_says_what_a_path_stands_for(folder):
    (folder / "trials").write_text("1 u1 u2\n1 u1 y/001.wav\n")
    with pytest.raises(DataDirError) as error:
        validate_data_dir(folder)
    assert "trials:2: utterance y/001.wav: " in str(error.value)
    assert "a path, which stands for utterance 'u2'; repair with: python -m svmixer" in str(error.value)
