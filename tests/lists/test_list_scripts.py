"""The command lines: exit status, messages, files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from svmixer.cli.main import run_program
from svmixer.lists import read_table, read_trials, write_table

ROOT = Path(__file__).resolve().parents[2]


def test_validate(data_dir, capsys):
    run_program("validate_data_dir", ["--data_dir", str(data_dir)])
    assert capsys.readouterr().out == f"{data_dir}: valid, 4 utterances, 2 speakers, 4 trials\n"
    (data_dir / "spk2utt").unlink()
    (data_dir / "wav.scp").write_text("a-1 x\r\n")
    with pytest.raises(SystemExit) as caught:
        run_program("validate_data_dir", ["--data_dir", str(data_dir)])
    assert caught.value.code == 1
    repair = f"; repair with: svmixer fix_data_dir --data_dir {data_dir}\n"
    assert capsys.readouterr().err == (
        f"error: {data_dir}/spk2utt: missing{repair}"
        f"error: {data_dir}/wav.scp:1: carriage return (Windows line end){repair}"
    )


def test_fix(data_dir, capsys):
    run_program("fix_data_dir", ["--data_dir", str(data_dir)])
    assert capsys.readouterr().out == f"{data_dir}: nothing to repair\n"
    (data_dir / "utt2spk").write_text("c-1 c\nb-2 b\nb-1 b\na-2 a\na-1 a\nc-2 c\n")
    run_program("fix_data_dir", ["--data_dir", str(data_dir)])
    assert capsys.readouterr().out == (
        f"{data_dir}/utt2spk: left out 2: not in wav.scp (c-1, …)\n{data_dir}/utt2spk: written, 4 entries\n"
    )
    (data_dir / "utt2spk").write_text("a-1 a\na-1 b\n")
    with pytest.raises(SystemExit) as caught:
        run_program("fix_data_dir", ["--data_dir", str(data_dir)])
    assert caught.value.code == 1
    assert capsys.readouterr().err == (
        f"error: {data_dir}/utt2spk:2: utterance a-1: id is listed twice, "
        "with different values: 'a' and 'b'\n"
    )


def test_make_trials(data_dir, capsys):
    write_table(data_dir / "spk2gender", {"a": "f", "b": "f"})
    options = ["--data_dir", str(data_dir), "--attributes", "[spk2gender, utt2lang]", "--max_targets", "1"]
    run_program("make_trials", options)
    assert capsys.readouterr().out == f"{data_dir}/trials: 4 trials, 2 of them targets\n"
    assert len(read_trials(data_dir / "trials")) == 4
    with pytest.raises(SystemExit):
        run_program("make_trials", [*options, "--max_utterances", "1"])
    assert "max_utterances must be at least 2" in capsys.readouterr().err


def test_make_trials_across_sessions(data_dir, capsys):
    names = [line.split()[0] for line in (data_dir / "utt2spk").read_text().splitlines()]
    write_table(data_dir / "utt2session", {name: str(number % 2) for number, name in enumerate(names)})
    options = ["--data_dir", str(data_dir), "--sessions", "utt2session"]
    run_program("make_trials", options)
    session = read_table(data_dir / "utt2session")
    rows = list(read_trials(data_dir / "trials").rows())
    assert all(session[a] != session[b] for label, a, b in rows if label)
    write_table(data_dir / "utt2session", {names[0]: "1"})
    with pytest.raises(SystemExit):
        run_program("make_trials", options)
    assert f"utt2session: utterance {names[1]}: no session" in capsys.readouterr().err


def test_partition(data_dir, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run_program("partition_data_dir", ["--data_dir", str(data_dir), "--output_dir", f"{tmp_path}/out"])
    assert "0 of 0 speakers that are in no trial have two utterances or more" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("tool", ["validate_data_dir.sh", "fix_data_dir.sh"])
def test_shell_wrappers(data_dir, tool):
    """The directory at the end as in Kaldi, or by its option."""
    for arguments in (["--check_files", "false", data_dir], [data_dir], ["--data_dir", data_dir]):
        done = subprocess.run(
            [ROOT / "tools" / tool, *arguments], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"{data_dir}: ")
    wrong = subprocess.run(
        [ROOT / "tools" / tool, "--dir", data_dir], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
    assert "unknown key 'dir'; did you mean 'data_dir'?" in wrong.stderr
