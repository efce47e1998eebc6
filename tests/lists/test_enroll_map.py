"""Models of several utterances in data directories: checked, repaired, divided and dumped."""

from __future__ import annotations

import pytest

from svmixer.audio.merge import MergeConfig, merge_jobs
from svmixer.lists import (
    DataDirError,
    ListError,
    fix_data_dir,
    partition_data_dir,
    read_enroll_map,
    validate_data_dir,
)

MAP = "A a-1 a-2\nB b-1\n"
TRIALS = "1 A a-3\n0 A b-2\n1 B b-2\n0 B a-3\n"


@pytest.fixture
def folder(write):
    """Two speakers; a model of each, and trials with the utterances that are left."""
    names = ["a-1", "a-2", "a-3", "b-1", "b-2"]
    write("d/wav.scp", "".join(f"{name} /c/{name}.wav\n" for name in names))
    write("d/utt2spk", "".join(f"{name} {name[0]}\n" for name in names))
    write("d/spk2utt", "a a-1 a-2 a-3\nb b-1 b-2\n")
    write("d/trials", TRIALS)
    return write("d/enroll.map", MAP).parent


def faults(folder) -> str:
    with pytest.raises(DataDirError) as caught:
        validate_data_dir(folder)
    return str(caught.value).replace(f"{folder}/", "")


def test_sound(folder):
    assert read_enroll_map(folder / "enroll.map") == {"A": ["a-1", "a-2"], "B": ["b-1"]}
    assert validate_data_dir(folder).trials == 4
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert fix_data_dir(folder).changed == []
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_model_may_have_the_name_of_an_utterance(folder):
    for name in ("enroll.map", "trials"):
        path = folder / name
        path.write_text(path.read_text().replace("A ", "b-2 "))
    assert validate_data_dir(folder).trials == 4


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("enroll.map", "a-2", "a-9", "enroll.map: model A: its utterance a-9 is not in the set"),
        ("enroll.map", "a-2", "b-1", "enroll.map: model A: mixes speakers: a-1 is of a, b-1 of b"),
        ("enroll.map", "B b-1", "B", "enroll.map:2: model B: no value behind the id"),
        ("enroll.map", "B b-1", "A b-1", "enroll.map:2: model A: is listed twice"),
        ("enroll.map", "a-2", "a-1", "enroll.map:1: model A: has the utterance a-1 twice"),
        ("trials", "A a-3", "C a-3", "trials:1: utterance C: trial with a model that enroll.map does"),
        ("trials", "A a-3", "A a-2", "trials:1: utterance A: trial of an utterance against itself"),
        ("trials", "0 A b-2", "1 A b-2", "trials:2: utterance A: label and utt2spk disagree"),
        ("trials", "A a-3", "A x-1", "trials:1: utterance x-1: trial with an utterance that the"),
    ],
)  # fmt: skip
def test_faults_are_one_line_each(folder, name, old, new, message):
    path = folder / name
    path.write_text(path.read_text().replace(old, new))
    lines = faults(folder).splitlines()
    assert len(lines) == 1 and lines[0].startswith(message)


def test_what_goes_takes_models_and_trials_with_it(folder):
    (folder / "utt2spk").write_text("a-1 a\na-3 a\nb-2 b\n")
    report = fix_data_dir(folder)
    assert (folder / "enroll.map").read_text() == "A a-1\n"
    assert (folder / "trials").read_text() == "1 A a-3\n0 A b-2\n"
    dropped = [(row.name, row.reason, row.count, row.first) for row in report.dropped]
    assert ("enroll.map", "utterance not in the set", 2, "a-2") in dropped
    assert ("enroll.map", "no utterance", 1, "B") in dropped
    assert validate_data_dir(folder).trials == 2


def test_paths_and_repeated_lines_are_repaired(folder):
    (folder / "enroll.map").write_text("B b-1\r\n\nA /c/a-1.wav\ta-2\nB b-1\n")
    fix_data_dir(folder)
    assert (folder / "enroll.map").read_text() == MAP


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A a-1\nA a-2\nB b-1\n", "enroll.map:2: model A: is listed twice, with different utterances"),
        ("A a-1 b-1\nB b-1\n", "enroll.map: model A: mixes speakers"),
        ("A x-1\n", "no model is left"),
    ],
)
def test_what_only_the_owner_can_decide(folder, text, message):
    (folder / "enroll.map").write_text(text)
    with pytest.raises(ListError, match=message):
        fix_data_dir(folder)
    assert (folder / "enroll.map").read_text() == text


def test_models_are_of_the_test_set(folder, tmp_path):
    names = [f"{speaker}-{n}" for speaker in "cdefgh" for n in (1, 2)]
    for name, line in (("wav.scp", "{0} /c/{0}.wav\n"), ("utt2spk", "{0} {1}\n")):
        with open(folder / name, "a") as stream:
            stream.writelines(line.format(utterance, utterance[0]) for utterance in names)
    fix_data_dir(folder)
    partition_data_dir(folder, tmp_path / "out", valid_speakers=2)
    test = tmp_path / "out/test"
    assert (test / "enroll.map").read_text() == MAP and (test / "trials").read_text() == TRIALS
    assert (test / "utt2spk").read_text().split()[::2] == ["a-1", "a-2", "a-3", "b-1", "b-2"]
    assert not (tmp_path / "out/train/enroll.map").exists()
    for name in ("train", "valid", "test"):
        validate_data_dir(tmp_path / "out" / name)


@pytest.fixture
def dumped(folder, write, tmp_path):
    """One job's work, in which an enrolment utterance was dropped."""
    write("o/data/wav.1.scp", "".join(f"{name} x.ark:1\n" for name in ("a-1", "a-3", "b-1", "b-2")))
    write("o/data/utt2num_samples.1", "".join(f"{name} 9\n" for name in ("a-1", "a-3", "b-1", "b-2")))
    header = "utterance\treason\tsource\n"
    write("o/data/dropped.1.tsv", f"{header}a-2\ttoo short: 0.1 s\t/c/a-2.wav\n")
    return MergeConfig(str(folder), str(tmp_path / "o"), max_drop=0.5)


def test_a_dump_has_the_models_without_what_was_dropped(dumped, tmp_path, caplog):
    merge_jobs(dumped)
    assert (tmp_path / "o/enroll.map").read_text() == "A a-1\nB b-1\n"
    assert (tmp_path / "o/trials").read_text() == TRIALS
    assert "1 models have a dropped utterance, as A" in caplog.text


def test_trials_of_a_model_that_lost_all_are_left_out_of_a_dump(dumped, folder, tmp_path):
    (folder / "enroll.map").write_text("A a-2\nB b-1\n")
    merge_jobs(dumped)
    assert (tmp_path / "o/enroll.map").read_text() == "B b-1\n"
    assert (tmp_path / "o/trials").read_text() == "1 B b-2\n0 B a-3\n"


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("enroll.map", "B b-1", "B x-1", "enroll.map: model B: its utterance x-1 is not in the set"),
        ("trials", "B a-3", "C a-3", "trials:4: utterance C: a trial names a model that enroll.map does not"),
        ("trials", "B a-3", "B x-3", "trials:4: utterance x-3: a trial names an unknown utterance"),
    ],
)
def test_a_dump_of_models_that_do_not_fit(dumped, folder, name, old, new, message):
    path = folder / name
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ListError, match=message):
        merge_jobs(dumped)
