"""tools/run.pl: the task's number in words, words that stay as they are, operators."""

import os
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def test_substitution_in_log_and_words(run_pl):
    done = run_pl(
        "JOB=1:3", "log/JOB/x.JOB.log", "printf", "%s\n", "JOB", "wavJOB.scp", "JOB-JOB", "a 'JOB' \"JOB\""
    )
    assert done.returncode == 0
    for number in "123":
        log = run_pl.log(f"log/{number}/x.{number}.log")
        expected = [number, f"wav{number}.scp", f"{number}-{number}", f"a '{number}' \"{number}\""]
        assert log["output"].splitlines() == expected


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("JOB=3", [3]),
        ("JOB=2:2", [2]),
        ("JOB=9:11", [9, 10, 11]),
        ("JOB=5:6,2,6", [2, 5, 6]),
        ("LM_2=1:2", [1, 2]),
    ],
)
def test_ranges(run_pl, tmp_path, text, numbers):
    name = text.split("=")[0]
    assert run_pl("--mem", "1G", text, "-tc", 2, f"{name}.log", "true").returncode == 0
    assert sorted(int(path.stem) for path in tmp_path.glob("*.log")) == numbers


def test_one_chosen_task_needs_no_number_in_the_log(run_pl):
    assert run_pl("JOB=7", "a.log", "echo", "JOB").returncode == 0
    assert run_pl.log("a.log")["output"] == "7\n"


def test_range_forgotten_is_pointed_out(run_pl):
    assert "there is no JOB=1:n" in run_pl("a.JOB.log", "true").stderr


WORDS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12), max_size=6
)
TRICKY = st.lists(st.text("'\"\\ $`*!~#;&|<>(){}[]\n\t=\x01\x7fé%", max_size=8), max_size=6)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=WORDS | TRICKY)
def test_arguments_arrive_as_they_are(run_pl, words):
    done = run_pl("--operators", "false", "a.log", "printf", "%s\\0", *words)
    assert done.returncode == 0
    body = (run_pl.directory / "a.log").read_bytes().split(b"\n", 3)
    expected = b"".join(word.encode() + b"\0" for word in words) or b"\0"
    assert body[3].rpartition(b"\n# Accounting")[0] == expected
    # The command in the header, read by bash, is the same command.
    again = subprocess.run([b"bash", b"-c", body[0][2:]], capture_output=True, check=True)
    assert again.stdout == expected


def test_operators_act_as_words_of_their_own(run_pl, tmp_path):
    words = ["printf", "%s ", "b c", "a|b", "$HOME", "|", "tr", "a-c", "A-C", ">", "out file"]
    words += ["&&", "echo", "ok", ">&2"]
    done = run_pl("a.log", *words)
    assert done.returncode == 0
    assert (tmp_path / "out file").read_text() == "B C A|B $HOME "
    log = run_pl.log("a.log")
    assert log["output"] == "ok\n"
    assert log["command"] == "printf '%s ' 'b c' 'a|b' '$HOME' | tr a-c A-C > 'out file' && echo ok >&2"


@pytest.mark.parametrize("word", ["if", "A=1", "{", "!"])
def test_words_of_the_shell_language_are_ordinary_commands(run_pl, tmp_path, word):
    program = tmp_path / word
    program.write_text("#!/bin/sh\necho ran $1\n")
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    assert run_pl("a.log", word, "x", env={"PATH": path}).returncode == 0
    log = run_pl.log("a.log")
    assert (log["command"], log["output"]) == (f"'{word}' x", "ran x\n")


def test_any_part_of_a_pipe_fails_the_task(run_pl):
    assert run_pl("a.log", "false", "|", "cat").returncode == 1
    assert run_pl("a.log", "false", "||", "true").returncode == 0


def test_without_operators_nothing_acts(run_pl, tmp_path):
    assert run_pl("--operators", "false", "a.log", "echo", "x", ">", "y", ";", "z").returncode == 0
    assert run_pl.log("a.log")["output"] == "x > y ; z\n"
    assert not (tmp_path / "y").exists()


@pytest.mark.parametrize("operators", ["true", "false"])
def test_what_only_bash_can_run_is_run_by_bash(run_pl, tmp_path, operators):
    """Programs are started without bash in between; builtins and scripts without #! are no programs."""
    options = ["--operators", operators]
    assert run_pl(*options, "builtin.log", "exit", "3").returncode == 1
    assert "(code 3)" in (tmp_path / "builtin.log").read_text()
    script = tmp_path / "script"
    script.write_text('echo "$BASH_VERSION" "$1" $((${#BASH_VERSION} > 0))\n')
    script.chmod(0o755)
    assert run_pl(*options, "script.log", "./script", "a  b").returncode == 0
    assert run_pl.log("script.log")["output"].endswith(" a  b 1\n")
    for name, code in (("nowhere", 127), ("./nowhere", 127), (str(tmp_path), 126)):
        assert run_pl(*options, "bad.log", name).returncode == 1
        assert f"(code {code})" in (tmp_path / "bad.log").read_text()


def test_a_function_of_the_caller_goes_before_a_program(run_pl, tmp_path, monkeypatch):
    monkeypatch.setenv("BASH_FUNC_true%%", "() { echo mine; }")
    assert run_pl("a.log", "true").returncode == 0
    assert run_pl.log("a.log")["output"] == "mine\n"


def test_the_first_program_of_the_path_runs_and_knows_its_name(run_pl, tmp_path, monkeypatch):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        program = tmp_path / folder / "say_where"
        program.write_text(f'#!/bin/bash\necho {folder} "$0" "$@"\n')
        program.chmod(0o755 if folder == "two" else 0o644)
    monkeypatch.setenv("PATH", f"{tmp_path}/one:{tmp_path}/two:{os.environ['PATH']}")
    assert run_pl("a.log", "say_where", "*").returncode == 0
    assert run_pl.log("a.log")["output"] == f"two {tmp_path}/two/say_where *\n"
