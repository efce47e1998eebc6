"""Markers: what counts as a change, and what is told."""

import pytest

from svmixer.cli.main import run_program
from svmixer.fileio import read_json


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.txt").write_text("one\n")
    (tmp_path / "out.txt").write_text("made of one\n")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/train.yaml").write_text("model: {student: conf/student.yaml}\nlr: 1\n")
    (tmp_path / "conf/student.yaml").write_text("layers: 3\n")
    return tmp_path


def spec(seed=0):
    return [
        "--stage", "train", "--input", "in.txt", "--config", "conf/train.yaml", "--option", f"seed={seed}",
        "--output", "out.txt",
    ]  # fmt: skip


def check(*arguments) -> int:
    try:
        run_program("done", ["check", "x/.done", *arguments])
    except SystemExit as stop:
        return stop.code
    return 0


def test_current_until_something_changes(work, capsys):
    assert check(*spec()) == 1  # not there yet
    run_program("done", ["write", "x/.done", *spec()])
    assert check(*spec()) == 0
    assert check(*spec(seed=1)) == 1
    assert "option seed (0 → 1) changed" in capsys.readouterr().out
    (work / "conf/student.yaml").write_text("layers: 4\n")
    assert check(*spec()) == 1
    assert "configuration student.yaml changed" in capsys.readouterr().out
    (work / "conf/student.yaml").write_text("layers: 3\n")
    (work / "in.txt").write_text("two\n")
    assert check(*spec()) == 1
    assert "in.txt changed" in capsys.readouterr().out
    (work / "in.txt").write_text("one\n")
    (work / "out.txt").unlink()
    assert check(*spec()) == 1
    assert "out.txt is missing" in capsys.readouterr().out


def test_the_marker_is_the_same_at_another_time(work):
    run_program("done", ["write", "a/.done", *spec()])
    run_program("done", ["write", "b/.done", *spec()])
    assert (work / "a/.done").read_bytes() == (work / "b/.done").read_bytes()


def require(work, capsys) -> str:
    with pytest.raises(SystemExit) as stop:
        run_program("done", ["require", "x/.done@train"])
    assert stop.value.code == 1
    return capsys.readouterr().err


def test_require_names_what_is_wrong_and_the_stage(work, capsys):
    assert "x is missing; it is made by stage 4 (train): run with --stage 4" in require(work, capsys)
    run_program("done", ["write", "x/.done", *spec()])
    run_program("done", ["require", "x/.done@train"])
    (work / "out.txt").write_text("cut")
    assert "x is damaged: out.txt has 3 bytes, it had 12" in require(work, capsys)
    (work / "out.txt").unlink()
    assert "x is incomplete: out.txt is missing" in require(work, capsys)
    (work / "out.txt").write_text("made of one\n")
    (work / "in.txt").write_text("two\n")
    assert "x is stale: in.txt changed after it was made" in require(work, capsys)
    # An input that is gone cannot have changed: people delete raw data.
    (work / "in.txt").unlink()
    run_program("done", ["require", "x/.done@train"])


def test_writing_without_the_output_is_an_error(work, capsys):
    (work / "out.txt").unlink()
    with pytest.raises(SystemExit):
        run_program("done", ["write", "x/.done", *spec()])
    assert "out.txt: stage train was to use or write it, but it is missing" in capsys.readouterr().err
    assert not (work / "x/.done").exists()


def test_what_a_configuration_extends_is_part_of_it_whatever_its_name(work, capsys):
    (work / "conf/paper").mkdir()
    (work / "conf/paper/train.yaml").write_text("lr: 2\nmodel: ../student.yaml\n")
    (work / "conf/train.yaml").write_text("base: paper/train.yaml\n")
    run_program("done", ["write", "x/.done", *spec()])
    configs = read_json("x/.done")["configs"]
    assert set(configs) == {"train.yaml", "paper/train.yaml", "student.yaml"}
    (work / "conf/paper/train.yaml").write_text("lr: 3\nmodel: ../student.yaml\n")
    assert check(*spec()) == 1
    assert "configuration paper/train.yaml changed" in capsys.readouterr().out


def test_a_configuration_that_names_a_missing_file(work, capsys):
    (work / "conf/student.yaml").unlink()
    with pytest.raises(SystemExit):
        run_program("done", ["write", "x/.done", *spec()])
    assert "no such configuration file: conf/student.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"half", b"PK\x03\x04 half"])
def test_a_damaged_state_of_the_recordings_is_the_reason(work, capsys, content):
    (work / "a.wav").write_bytes(b"1" * 100)
    (work / "wav.scp").write_text("a a.wav\n")
    (work / "x").mkdir()
    run_program("done", ["audio", "x/.done", "--audio", "wav.scp"])
    run_program("done", ["write", "x/.done", *spec(), "--audio", "wav.scp"])
    assert check(*spec(), "--audio", "wav.scp") == 0
    (work / "x/.audio").write_bytes(content)
    capsys.readouterr()
    assert check(*spec(), "--audio", "wav.scp") == 1
    assert capsys.readouterr().out == "x/.audio is damaged\n"
    assert require(work, capsys).startswith("error: x is stale: x/.audio is damaged; it is made by stage ")
    with pytest.raises(SystemExit):
        run_program("done", ["write", "x/.done", *spec(), "--audio", "wav.scp"])
    assert capsys.readouterr().err == "error: x/.audio is damaged\n"


def test_a_replaced_recording_is_the_reason(work, capsys):
    (work / "call_12:30").write_bytes(b"1" * 100)
    (work / "wav.scp").write_text("a call_12:30\n")
    (work / "x").mkdir()
    run_program("done", ["audio", "x/.done", "--audio", "wav.scp"])
    run_program("done", ["write", "x/.done", *spec(), "--audio", "wav.scp"])
    (work / "call_12:30").write_bytes(b"2" * 100)
    assert "x is stale: recording call_12:30 changed after it was made; it is" in require(work, capsys)


def test_files_named_in_lists_and_by_options_count(work, capsys):
    (work / "conf/train.yaml").write_text("phases: [first.yaml]\n")
    (work / "conf/first.yaml").write_text("lr: 1\n")
    (work / "conf/augment.yaml").write_text("prob: 1\n")
    named = [*spec(), "--named", "augment.yaml"]
    run_program("done", ["write", "x/.done", *named])
    assert check(*named) == 0
    for name in ("first", "augment"):
        (work / f"conf/{name}.yaml").write_text("lr: 0.5\n")
        assert check(*named) == 1
        assert f"configuration {name}.yaml changed" in capsys.readouterr().out
    assert check(*spec(), "--named", "nowhere.yaml") == 1
    assert "no such configuration file: nowhere.yaml" in capsys.readouterr().err
