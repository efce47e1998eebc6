"""Names in trials: ids, paths of wav.scp, and what the message says about others."""

from __future__ import annotations

import logging

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


def refusals(folder, trials: str) -> list[str]:
    """What the fixer and the validator say, and that neither changes anything."""
    (folder / "trials").write_text(trials)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    messages = []
    for check, error in ((fix_data_dir, ListError), (validate_data_dir, DataDirError)):
        with pytest.raises(error) as raised:
            check(folder)
        messages += [line for line in str(raised.value).splitlines() if "stands for utterance" not in line]
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    return messages


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
    assert fixed(folder, "1 x/001.wav y/001.wav\n0 p1 p3\n") == "1 p1 p2\n0 p1 p3\n"
    for name in ("z/002.flac", "/corpus/id2/z/002.flac", "u3"):
        for message in refusals(folder, f"1 p1 p2\n0 p1 {name}\n"):
            assert f"trials:2: utterance {name}: " in message
            assert f"'{name}' is a recording with 2 utterances (p3, p4): name one of them; trials" in message
            assert "ids of segments, such as 'p1'" in message and "repair" not in message
    for message in refusals(folder, "1 p1 p2\n0 p1 u4\n"):
        assert "'u4' is a recording without an utterance: trials name" in message


@pytest.mark.parametrize(
    ("trials", "what"),
    [
        ("1 model-7 u2\n0 model-7 u3\n", "'model-7' is no utterance of the set"),
        ("1 u1 s1\n0 u2 s2\n", "'s1' is a speaker, no utterance"),
    ],
)
def test_names_that_no_list_has(folder, trials, what):
    """In all trials: nothing is left to repair."""
    for message in refusals(folder, trials):
        assert f"{what}: trials name utterances by ids of wav.scp, such as 'u1'" in message
        assert "by paths of wav.scp" in message
        assert "enroll.map" in message and "repair" not in message
    assert (folder / "trials").read_text() == trials


def test_names_of_a_larger_corpus_are_left_out_and_counted(folder, caplog):
    (folder / "trials").write_text("1 u1 u2\n0 u1 model-7\n1 u1 x\n")
    logging.getLogger("svmixer").addHandler(caplog.handler)
    report = fix_data_dir(folder)
    logging.getLogger("svmixer").removeHandler(caplog.handler)
    assert (folder / "trials").read_text() == "1 u1 u2\n" and report.sizes["trials"] == 1
    assert "trials:2: utterance model-7: " in caplog.text
    assert "(and 1 more) left out: 'model-7' is no utterance of the set" in caplog.text


@pytest.mark.parametrize(
    ("name", "recordings"),
    [
        ("X/call0.wav", "2 recordings (call0-A, call0-B)"),
        ("./X/call0.wav", "2 recordings (call0-A, call0-B)"),
        ("call0.wav", "2 recordings (call0-A, call0-B)"),
        ("X/call0", "2 recordings (call0-A, call0-B)"),
        ("X/call2.wav", "2 recordings (call2-A, call2-B)"),
        ("X/../X/call2.wav", "2 recordings (call2-A, call2-B)"),
        ("same.wav", "4 recordings (e1, e2, e3, …)"),
    ],
)
def test_a_path_of_several_recordings(write, name, recordings):
    """Two channels of a file, two spellings of one, and an end of several: which is meant?"""
    write(
        "d/wav.scp",
        "call0-A X/call0.wav\ncall0-B X/call0.wav\ncall1-A X/call1.wav\n"
        "call2-A X/call2.wav\ncall2-B X/y/../call2.wav\n"
        + "".join(f"e{i} {i}/same.wav\n" for i in range(1, 5)),
    )
    ids = ["call0-A", "call0-B", "call1-A", "call2-A", "call2-B", "e1", "e2", "e3", "e4"]
    folder = write("d/utt2spk", "".join(f"{each} {each}\n" for each in ids)).parent
    write("d/spk2utt", "".join(f"{each} {each}\n" for each in ids))
    for message in refusals(folder, f"0 X/call1.wav e1\n0 {name} call1-A\n"):
        assert f"trials:2: utterance {name}: " in message
        assert f"'{name}' is a path of {recordings}: name one of them; trials name" in message
        assert "repair" not in message
    assert fixed(folder, "0 ./X/z/../call1.wav e1\n") == "0 call1-A e1\n"


def test_lists_with_faults_do_not_hide_the_names(folder):
    """What a broken list would say is left out; the others count."""
    (folder / "utt2spk").write_text("u1 s1\r\nu2 s1\n")
    (folder / "trials").write_text("1 u1 model-7\n")
    with pytest.raises(DataDirError) as error:
        validate_data_dir(folder)
    assert "utt2spk:1: carriage return" in str(error.value)
    assert "trials:1: utterance model-7: " in str(error.value)


def test_validator_says_what_a_path_stands_for(folder):
    (folder / "trials").write_text("1 u1 u2\n1 u1 y/001.wav\n")
    with pytest.raises(DataDirError) as error:
        validate_data_dir(folder)
    assert "trials:2: utterance y/001.wav: " in str(error.value)
    assert "a path, which stands for utterance 'u2'; repair with: svmixer fix_data_dir" in str(error.value)
