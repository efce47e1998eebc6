"""Every fault of a data directory has its message, with file, line, utterance and repair."""

from __future__ import annotations

import pickle

import pytest

from svmixer.lists import DataDirError, DataDirSize, validate_data_dir


def problems(folder, **options) -> list[str]:
    """The messages, without the folder and the repair command; checks that the command is the right one."""
    with pytest.raises(DataDirError) as caught:
        validate_data_dir(folder, **options)
    for problem in caught.value.problems:
        command = f"svmixer fix_data_dir --data_dir {folder}"
        assert problem.repair in (None, command, f"{command} --check_files true") or "UTF-8" in problem.what
    return [
        str(problem).removeprefix(f"{folder}/").partition("; repair")[0] for problem in caught.value.problems
    ]


def test_sound(data_dir):
    assert validate_data_dir(data_dir) == DataDirSize(utterances=4, recordings=4, speakers=2, trials=4)


def test_wav_scp_alone_is_a_set_of_noises(write):
    folder = write("noises/wav.scp", "n1 x\nn2 y\n").parent
    assert validate_data_dir(folder) == DataDirSize(utterances=2, recordings=2, speakers=0, trials=0)
    assert problems(folder, need_speakers=True) == [
        "utt2spk: missing: write one line 'utterance speaker' an utterance"
    ]


def test_missing_lists(data_dir, tmp_path):
    assert problems(tmp_path / "absent") == [f"{tmp_path}/absent: no such data directory"]
    (data_dir / "wav.scp").unlink()
    (data_dir / "spk2utt").unlink()
    assert problems(data_dir) == ["wav.scp: missing: every data directory has one", "spk2utt: missing"]


@pytest.mark.parametrize("name", ["wav.scp", "utt2spk", "spk2utt", "utt2lang", "trials"])
def test_form_of_every_list(data_dir, name):
    path = data_dir / name
    sound = path.read_bytes()
    lines = sound.splitlines(keepends=True)
    for content, message in (
        (sound.replace(b"\n", b"\r\n"), f"{name}:1: carriage return (Windows line end)"),
        (b"\xef\xbb\xbf" + sound, f"{name}:1: byte-order mark before the first entry"),
        (lines[0] + b"\n" + b"".join(lines[1:]), f"{name}:2: blank line"),
        (b"", f"{name}: empty list"),
    ):
        path.write_bytes(content)
        assert problems(data_dir) == [message]
    path.write_bytes(lines[0] + b"b-\xff x y\n")
    assert problems(data_dir)[0].startswith(f"{name}:2: not UTF-8: byte 0xff at column 3")


def test_order_duplicates_and_tabs(data_dir):
    path = data_dir / "utt2spk"
    for content, message in (
        (
            "a-1 a\nb-1 b\na-2 a\nb-2 b\n",
            "utt2spk:3: utterance a-2: not sorted: stands behind b-1 (order: LC_ALL=C sort)",
        ),
        ("a-1 a\na-1 a\na-2 a\nb-1 b\nb-2 b\n", "utt2spk:2: utterance a-1: the same line is listed twice"),
        (
            "a-1 a\na-1 b\n",
            "utt2spk:2: utterance a-1: id is listed twice, with different values: 'a' and 'b'",
        ),
        (
            "a-1\ta\na-2 a\nb-1 b\nb-2 b\n",
            "utt2spk:1: utterance a-1: tab or leading blank: one space separates the fields",
        ),
        (
            " a-1 a\na-2 a\nb-1 b\nb-2 b\n",
            "utt2spk:1: utterance a-1: tab or leading blank: one space separates the fields",
        ),
        ("a-1 a\na-2\n", "utt2spk:2: utterance a-2: no value behind the id"),
        ("a-1 a\na-2 a b\n", "utt2spk:2: utterance a-2: expected one speaker, found 'a b'"),
    ):
        path.write_text(content)
        assert problems(data_dir) == [message]


def test_utterances_of_one_list_only(data_dir):
    with open(data_dir / "wav.scp", "a") as stream:
        stream.write("c-1 x\nc-2 y\n")
    assert problems(data_dir) == ["wav.scp:5: utterance c-1: not in utt2spk (and 1 more)"]
    (data_dir / "wav.scp").write_text("a-1 x\nb-1 y\nb-2 z\n")
    assert problems(data_dir) == [
        "utt2spk:2: utterance a-2: not in wav.scp",
        "utt2lang:2: utterance a-2: not in wav.scp",
        "trials:1: utterance a-2: trial with an utterance that the set does not have (and 1 more)",
    ]


@pytest.mark.parametrize(
    ("spk2utt", "message"),
    [
        ("a a-1 a-2\nb b-1\n", "utt2spk:4: utterance b-2: spk2utt says otherwise"),
        ("a a-1\nb a-2 b-1 b-2\n", "utt2spk:2: utterance a-2: spk2utt says otherwise"),
        ("a a-1 a-2\n", "utt2spk:3: utterance b-1: spk2utt says otherwise (and 1 more)"),
        (
            "a a-1 a-1 a-2\nb b-1 b-2\n",
            "spk2utt: names utterances twice or that utt2spk gives to another speaker",
        ),
        (
            "a a-1 a-2\nb b-1 b-2 c-1\n",
            "spk2utt: names utterances twice or that utt2spk gives to another speaker",
        ),
    ],
)
def test_spk2utt_against_utt2spk(data_dir, spk2utt, message):
    (data_dir / "spk2utt").write_text(spk2utt)
    assert problems(data_dir) == [message]


def test_spk2utt_sorted_differently_is_the_same(data_dir):
    (data_dir / "spk2utt").write_text("a a-2 a-1\nb b-1 b-2\n")
    assert validate_data_dir(data_dir).speakers == 2


def test_lists_by_speaker(data_dir):
    (data_dir / "spk2gender").write_text("b f\n")
    assert validate_data_dir(data_dir).speakers == 2
    (data_dir / "spk2gender").write_text("a m\nc m\n")
    assert problems(data_dir) == ["spk2gender:2: speaker c: not in spk2utt"]


def test_segments(write):
    folder = write("d/wav.scp", "r1 x\nr2 y\nr3 unused\n").parent
    write("d/utt2spk", "a-1 a\na-2 a\n")
    write("d/spk2utt", "a a-1 a-2\n")
    write("d/segments", "a-1 r1 0 1\na-2 r1 1 -1\n")
    assert validate_data_dir(folder) == DataDirSize(utterances=2, recordings=3, speakers=1, trials=0)
    write("d/segments", "a-1 r1 0 1\na-2 r9 1 2\n")
    assert problems(folder) == ["segments:2: utterance a-2: recording of the utterance is not in wav.scp"]
    write("d/segments", "a-1 r1 0 1\na-2 r1 2 1\n")
    assert problems(folder) == ["segments:2: utterance a-2: end 1 is not after start 2"]
    write("d/segments", "a-1 r1 0 1\na-3 r1 1 2\n")
    assert problems(folder) == [
        "utt2spk:2: utterance a-2: not in segments",
        "segments:2: utterance a-3: not in utt2spk",
    ]


def test_parts(write):
    folder = write("d/wav.scp", "r1 x\nr2 y\n").parent
    write("d/parts", "a r1 0 -1 r2 0 2\nb r2 2 -1\n")
    assert validate_data_dir(folder) == DataDirSize(utterances=2, recordings=2, speakers=0, trials=0)
    write("d/parts", "a r1 0 -1 r8 0 2 r9 0 1\nb r2 2 -1\n")
    assert problems(folder) == [
        "parts:1: utterance a: recording of the utterance is not in wav.scp (and 1 more)"
    ]
    write("d/parts", "a r1 0 -1\n")
    write("d/segments", "a r1 0 -1\n")
    assert problems(folder) == [f"{folder}: segments and parts exclude each other: keep one"]


STRANGE = "trial with an utterance that the set does not have"
ACCEPTED = (
    "no utterance of the set: trials name utterances by ids of wav.scp, such as 'a-1', or by paths of "
    "wav.scp; enrolment models of several utterances (enroll.map) are not supported"
)


@pytest.mark.parametrize(
    ("trials", "messages"),
    [
        (
            "1 a-1 a-2\n0 a-1 b-9\n",
            [f"trials:2: utterance b-9: {STRANGE}: 'b-9' is {ACCEPTED}"],
        ),
        (
            "1 a-1 a-2\n0 x b-1\n",
            [f"trials:2: utterance x: {STRANGE}: 'x' is {ACCEPTED}"],
        ),
        ("1 a-1 a-1\n", ["trials:1: utterance a-1: trial of an utterance against itself"]),
        ("1 a-1 b-1\n", ["trials:1: utterance a-1: label and utt2spk disagree whether this is one speaker"]),
        (
            "1 a-1 a-2\n0 a-2 a-1\n",
            [
                "trials:2: utterance a-2: the pair stands earlier with the other label",
                "trials:2: utterance a-2: label and utt2spk disagree whether this is one speaker",
            ],
        ),
        ("3 a-1 b-1\n", ["trials:1: expected '1|0 utterance1 utterance2', found '3 a-1 b-1'"]),
    ],
)
def test_trials(data_dir, trials, messages):
    (data_dir / "trials").write_text(trials)
    assert problems(data_dir) == messages


def test_repeated_trials_are_allowed(data_dir):
    (data_dir / "trials").write_text("1 a-1 a-2\n1 a-2 a-1\n1 a-1 a-2\n")
    assert validate_data_dir(data_dir).trials == 3


def test_conflicting_labels_without_speakers(write):
    folder = write("d/wav.scp", "a x\nb y\nc z\n").parent
    write("d/trials", "1 a b\n0 b c\n1 a b\n0 b a\n1 c b\n")
    assert problems(folder) == [
        "trials:4: utterance b: the pair stands earlier with the other label (and 1 more)"
    ]


def test_files(write, tmp_path):
    sound = write("a.wav", "12345")
    text = f"a-1 {sound}\na-2 {sound}:4\na-3 exit 1 |\n"
    folder = write("d/wav.scp", text).parent
    assert validate_data_dir(folder, check_files=True).recordings == 3
    write("d/wav.scp", f"{text}b-1 {tmp_path}/no.wav\nb-2 {sound}:5\n")
    assert validate_data_dir(folder).recordings == 5
    with pytest.raises(DataDirError) as caught:
        validate_data_dir(folder, check_files=True)
    [problem] = caught.value.problems
    assert (problem.line, problem.utterance) == (4, "b-1")
    assert problem.what == f"no such file: {tmp_path}/no.wav (and 1 more)"
    assert problem.repair.endswith("--check_files true")


def test_several_faults_come_together(data_dir):
    (data_dir / "utt2spk").write_text("b-1 b\na-1 a\n")
    (data_dir / "wav.scp").write_text("a-1 x\r\n")
    assert [message.partition(":")[0] for message in problems(data_dir)] == ["wav.scp", "utt2spk"]


def test_error_travels_between_processes(data_dir):
    (data_dir / "spk2utt").unlink()
    with pytest.raises(DataDirError) as caught:
        validate_data_dir(data_dir)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert [str(problem) for problem in copy.problems] == [str(caught.value)]


def test_trial_of_an_utterance_without_speaker(data_dir):
    (data_dir / "utt2spk").write_text("a-1 a\na-2 a\nb-1 b\n")
    (data_dir / "spk2utt").write_text("a a-1 a-2\nb b-1\n")
    assert problems(data_dir) == [
        "wav.scp:4: utterance b-2: not in utt2spk",
        "trials:3: utterance b-2: trial with an utterance that the set does not have (and 1 more)",
    ]
