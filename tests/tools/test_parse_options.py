"""tools/parse_options.sh: strict options, help from the comments."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PARSE_OPTIONS = Path(__file__).resolve().parents[2] / "tools" / "parse_options.sh"

SCRIPT = rf"""#!/usr/bin/env bash
# Does a thing.
#
# It is done in two ways.
# shellcheck disable=SC2034
set -euo pipefail

# Not an option: no comment right above the assignment.

inner=kept
# Number of parallel jobs,
# at least one.
nj=4
# Where to write; empty = nowhere.
out_dir=
# shellcheck disable=SC2034
# true: check first.
check=true
# Words for the trainer.
train_args="--lr 0.1"

. "{PARSE_OPTIONS}"
# Comes too late to be an option.
late=1
require_int 1 nj
require_bool check
printf '%s\0' "$nj" "$out_dir" "$check" "$train_args" "$inner$late" "$@"
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "thing.sh"
    path.write_text(SCRIPT)

    def call(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run(["bash", path, *words], capture_output=True, text=True, timeout=30)

    call.path = path
    return call


def values(done: subprocess.CompletedProcess) -> list[str]:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\0")[:-1]


def test_defaults(script):
    assert values(script()) == ["4", "", "true", "--lr 0.1", "kept1"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--nj", "8"], ["8", "", "true", "--lr 0.1", "kept1"]),
        (["--nj=8", "--out-dir", "a b", "--check=false"], ["8", "a b", "false", "--lr 0.1", "kept1"]),
        (["--out_dir=x=y", "--nj", "2", "--nj", "3"], ["3", "x=y", "true", "--lr 0.1", "kept1"]),
        (["--train_args", ""], ["4", "", "true", "", "kept1"]),
        (["--train-args=", "--out-dir="], ["4", "", "true", "", "kept1"]),
        (["--train_args", "--max_epoch 3 --nj 2"], ["4", "", "true", "--max_epoch 3 --nj 2", "kept1"]),
        (["--train_args=--nj"], ["4", "", "true", "--nj", "kept1"]),
        (["--nj", "2", "a", "--nj", "b c"], ["2", "", "true", "--lr 0.1", "kept1", "a", "--nj", "b c"]),
        (["--", "--nj"], ["4", "", "true", "--lr 0.1", "kept1", "--nj"]),
        (["-"], ["4", "", "true", "--lr 0.1", "kept1", "-"]),
    ],
)
def test_values_and_what_is_left_over(script, words, expected):
    assert values(script(*words)) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--njj", "8"], "unknown option --njj; did you mean --nj?"),
        (["--out-dri=x"], "unknown option --out-dri; did you mean --out_dir?"),
        (["-check", "true"], "unknown option -check; did you mean --check?"),
        (["--train", "x"], "unknown option --train; did you mean --train_args?"),
        (["--inner", "1"], "unknown option --inner; did you mean --nj?"),
        (["--late", "1"], "unknown option --late; did you mean --nj?"),
        (["--.j", "1"], "unknown option --.j; did you mean --nj?"),
        (["--nj\nfoo", "1"], "unknown option --nj\nfoo; did you mean"),
        (["--=1"], "unknown option --; did you mean --nj?"),
        (["--nj"], "option --nj needs a value"),
        (["--nj", "--check", "true"], "option --nj needs a value"),
        (["--nj", "four"], "--nj must be an integer of at least 1, not 'four'"),
        (["--nj", "0"], "--nj must be an integer of at least 1, not '0'"),
        (["--nj", "08"], "--nj must be an integer of at least 1, not '08'"),
        (["--nj", "-3"], "--nj must be an integer of at least 1, not '-3'"),
        (["--nj", "9" * 30], "--nj must be an integer of at least 1, not '999"),
        (["--nj", ""], "--nj must be an integer of at least 1, not ''"),
        (["--check", "True"], "--check must be true or false, not 'True'"),
        (["--check", "1"], "--check must be true or false, not '1'"),
    ],
)
def test_mistakes_are_named(script, words, message):
    done = script(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("thing.sh: ") and message in done.stderr


HELPERS = f"""# Words.
words_opt=
# Others.
given=
. "{PARSE_OPTIONS}"
"""


def bash(tmp_path, body: str, *words: str) -> subprocess.CompletedProcess:
    path = tmp_path / "words.sh"
    path.write_text(HELPERS + body)
    return subprocess.run(["bash", "-u", path, *words], capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize(
    "text",
    [
        "--wav_scp '/x/my lists/wav.scp'",
        r'a\ b "c \"d\" \x \\" x\y',
        "'' \"\" a''b\"c\"",
        "one\ntwo\tthree  ",
        "$(touch PWNED) `touch PWNED` $HOME ~ * ? [a] {b,c} # ; & | < > !x",
        "--data.speeds \"[0.9, 1.0]\" 'it'\\''s'",
        "é '語 x'",
        "",
        "  ",
    ],
)
def test_words_are_split_as_a_shell_does_and_nothing_is_expanded(tmp_path, text):
    done = bash(tmp_path, 'split_words "$words_opt"; printf "%s\\0" "${words[@]}"', "--words_opt", text)
    found = done.stdout.split("\0")[:-1] if shlex.split(text) else []
    assert (done.returncode, found) == (0, shlex.split(text))
    assert not list(tmp_path.glob("PWNED"))


# Nothing in them that a shell would expand.
PIECES = ["a", " ", "\n", "\t", "\r", "é", "'", '"', *(f"\\{char}" for char in "\\\"'$`\n a")]


def words_of_bash(text: str) -> list[str] | None:
    """The words of a text by bash itself; None if it is not whole."""
    script = f'w=({text}\n)\n[ ${{#w[@]}} -eq 0 ] || printf "%s\\0" "${{w[@]}}"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=30)
    return done.stdout.decode().split("\0")[:-1] if done.returncode == 0 else None


def words_of_ours(tmp_path, text: str) -> list[str] | None:
    script = 'split_words "$words_opt" || exit 3\n[ ${#words[@]} -eq 0 ] || printf "%s\\0" "${words[@]}"'
    (tmp_path / "words.sh").write_text(HELPERS + script)
    command = ["bash", "-u", tmp_path / "words.sh", f"--words_opt={text}"]
    done = subprocess.run(command, capture_output=True, timeout=30)
    assert done.returncode in (0, 3), done.stderr
    return done.stdout.decode().split("\0")[:-1] if done.returncode == 0 else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r'"\$x" "\`y\`"', ["$x", "`y`"]),
        ('"a\\\nb" c\\\nd \\\n', ["ab", "cd"]),
        ("'a\\\nb'", ["a\\\nb"]),
        ("a\rb\x0bc", ["a\rb\x0bc"]),
    ],
)
def test_backslashes_and_blanks_are_bash_s(tmp_path, text, expected):
    assert words_of_bash(text) == expected
    assert words_of_ours(tmp_path, text) == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_any_words_are_those_of_bash(tmp_path, text):
    assert words_of_ours(tmp_path, text) == words_of_bash(text)


@pytest.fixture
def places(tmp_path):
    """A checkout, with a program that shows its words, and working directories inside and outside of it."""
    checkout = tmp_path / "my checkout"
    (checkout / "egs/x").mkdir(parents=True)
    (checkout / "show").write_text('#!/bin/sh\nfor word; do echo "<$word>"; done\n')
    (checkout / "show").chmod(0o755)
    (tmp_path / "w").mkdir()
    (tmp_path / "link").symlink_to(checkout / "egs")
    return tmp_path


def recorded(places, work: str, *words: str) -> tuple[str, list[str]]:
    """The recorded line, and the words that the program gets when it is pasted."""
    (places / "record.sh").write_text(HELPERS + 'recorded_command "$@"')
    command = ["bash", "-u", places / "record.sh", "--", places / "my checkout", "show", *words]
    here = {"cwd": places / work, "env": {**os.environ, "PWD": str(places / work)}}
    line = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30, **here).stdout
    pasted = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True, **here)
    return line, [word[1:-1] for word in pasted.stdout.splitlines()]


@pytest.mark.parametrize(
    ("work", "word", "expected"),
    [
        ("w", "{t}/w/data", "data"),
        ("w", "--wav_scp={t}/w/data", "--wav_scp=data"),
        ("w", "/mnt{t}/w/data", "/mnt{t}/w/data"),
        ("w", "--a=/mnt{t}/w/data", "--a=/mnt{t}/w/data"),
        ("w", "{t}/ww/data", "{t}/ww/data"),
        ("w", "{t}/w", "."),
        ("w", "{t}/w//data", "data"),
        ("w", "{t}/w/--tag", "./--tag"),
        ("w", "{t}/my checkout/egs/x", "../my checkout/egs/x"),
        ("w", "{t}/my checkout", "../my checkout"),
        ("w", "/x=/{t}/w/data", "/x=/{t}/w/data"),
        ("my checkout", "{t}/my checkout/egs/x", "egs/x"),
        ("my checkout/egs/x", "{t}/my checkout/egs/x", "."),
        ("my checkout/egs/x", "{t}/my checkout/conf/a.yaml", "../../conf/a.yaml"),
        ("link", "{t}/link/x", "x"),
        ("link", "{t}/my checkout/conf", "../conf"),
    ],
)
def test_a_recorded_command_runs_where_it_was_given(places, work, word, expected):
    word, expected = (text.format(t=places) for text in (word, expected))
    line, words = recorded(places, work, "--name", word)
    assert words == ["--name", expected]
    program = os.path.relpath(places / "my checkout", (places / work).resolve())
    assert shlex.split(line)[0] == f"{program}/show"


@pytest.mark.parametrize(("text", "quote"), [("it's", "'"), ('--a "b', '"'), ("\"it's", '"'), ('"a\\"', '"')])
def test_an_open_quote_is_named(tmp_path, text, quote):
    done = bash(tmp_path, "require_words words_opt; echo reached", "--words_opt", text)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"words.sh: --words_opt: a quote {quote} is not closed in: {text}\n"


@pytest.mark.parametrize(
    "words", [["./run.sh", "--a", "b c", ""], ["it's", '"', "a\nb"], ["é 語", "$x", "*", "[1,2]", "\\"]]
)
def test_quoted_words_can_be_pasted(tmp_path, words):
    done = bash(tmp_path, 'quoted "$@"', "--", *words)
    assert done.returncode == 0 and shlex.split(done.stdout) == words
    again = subprocess.run(["bash", "-c", f"printf '%s\\0' {done.stdout}"], capture_output=True, text=True)
    assert again.stdout.split("\0")[:-1] == words
    assert bash(tmp_path, 'quoted "$@"', "--", "--nj", "4", "a/b.c").stdout == "--nj 4 a/b.c\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "no"),
        (["--words-opt", "x"], "yes"),
        (["--words_opt="], "yes"),
        (["--given", "a words_opt"], "yes"),
        (["--given", "none", "--words_opt", "x"], "no"),
    ],
)
def test_what_was_given(tmp_path, words, expected):
    done = bash(tmp_path, "if was_given words_opt; then echo yes; else echo no; fi", *words)
    assert done.stdout == f"{expected}\n"


def test_help_comes_from_the_script(script):
    done = script("--nj", "9", "--help")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "Does a thing.",
        "",
        "It is done in two ways.",
        "",
        "Usage: thing.sh [--option value ...]",
        "",
        "  --nj                   Number of parallel jobs, at least one. (default: 9)",
        "  --out_dir              Where to write; empty = nowhere. (default: none)",
        "  --check                true: check first. (default: true)",
        "  --train_args           Words for the trainer. (default: --lr 0.1)",
        "  --help                 print this and end",
    ]


def test_script_may_be_called_from_anywhere(script, tmp_path):
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    done = subprocess.run(["bash", "../thing.sh", "--nj=2"], cwd=elsewhere, capture_output=True, text=True)
    assert values(done)[0] == "2"


def test_changing_the_directory_first_is_reported(tmp_path):
    (tmp_path / "a.sh").write_text(f"cd /\n# One.\none=1\n. {PARSE_OPTIONS}\necho reached\n")
    done = subprocess.run(["bash", "a.sh", "--one", "2"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "source this file before changing the directory" in done.stderr


def test_no_name_is_left_behind(tmp_path):
    (tmp_path / "a.sh").write_text(
        f"# One.\none=1\n. {PARSE_OPTIONS}\necho ${{_name-none}} ${{_script-none}}\n"
    )
    done = subprocess.run(["bash", "a.sh", "--one", "2"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "none none\n"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=20))
def test_any_value_arrives_as_it_is(script, value):
    assert values(script(f"--out-dir={value}"))[1] == value
    if not value.startswith("-"):
        assert values(script("--out-dir", value, "left"))[1] == value
