"""Completion with the TAB key: the scripts run in their shells and offer what the programs take."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess

import pytest

from svmixer.cli.main import VERBS, main

BASH = shutil.which("bash") or pytest.skip("no bash", allow_module_level=True)


def script(shell: str) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        main(["completion", shell])
    return said.getvalue()


@pytest.fixture(scope="module")
def bash(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "svmixer.bash"
    path.write_text(script("bash"))
    return path


def complete(path, *words: str) -> list[str]:
    """What the TAB key offers behind ``words``, the last of which is unfinished; no program can be run."""
    code = (
        f'. "{path}"\nCOMP_WORDS=(svmixer "$@")\nCOMP_CWORD=$#\n_svmixer\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(
        [BASH, "-u", "-c", code, "bash", *words],
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("ver",), ["verify"]),
        (("help", "simi"), ["similarity"]),
        (("verify", "--thr"), ["--threshold"]),
        (("verify", "a.wav", "b.wav", "--exit"), ["--exit_status"]),
        (("verify", "--runtime", ""), ["auto", "onnx", "torch"]),
        (("verify", "--runtime", "o"), ["onnx"]),
        (("verify", "--runtime", "="), ["auto", "onnx", "torch"]),
        (("verify", "--precision", "=", "in"), ["int8"]),
        (("embed", "--model", "pocket"), ["pocket", "pocket2"]),
        (("complexity", "--backend.na"), ["--backend.name"]),
        (("make-data-dir", "--au"), ["--audio_dir"]),
        (("verify", "a.w"), []),
        (("verify", "--model", "exp/"), []),
        (("no_verb", "--"), []),
        (("verify", "--runtime", "-"), []),
    ],
)
def test_what_bash_offers(bash, words, offered):
    assert complete(bash, *words) == offered


def test_every_verb_and_each_of_its_options(bash, capsys):
    assert complete(bash, "") == [*VERBS, "help"]
    for verb in VERBS:
        with pytest.raises(SystemExit):
            main([verb, "--help", "--json"])
        rows = json.loads(capsys.readouterr().out)["options"]
        assert complete(bash, verb, "--") == [*(f"--{row['name']}" for row in rows), "--config", "--help"]


def test_bash_knows_the_function_and_shellcheck_finds_nothing(bash):
    done = subprocess.run([BASH, "-c", f'. "{bash}"; complete -p svmixer'], capture_output=True, text=True)
    assert done.stdout == "complete -o default -F _svmixer svmixer\n"
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", "-s", "bash", bash], capture_output=True, text=True)
        assert done.stdout + done.stderr == ""


def test_fish(tmp_path):
    text = script("fish")
    assert (
        r"complete -c svmixer -n '__fish_seen_subcommand_from verify' -l runtime -x -a 'auto onnx torch' -d"
        in text
    )
    if not shutil.which("fish"):
        pytest.skip("no fish to run it")
    (tmp_path / "svmixer.fish").write_text(text)
    code = f'source {tmp_path}/svmixer.fish; complete -C "svmixer verify --runtime o"'
    done = subprocess.run(["fish", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "onnx\tWhat runs the model\n"


def test_zsh(tmp_path):
    text = script("zsh")
    assert "'--runtime[What runs the model]:value:(auto onnx torch)'" in text
    assert "'--json[The same as --format json]'" in text
    if not shutil.which("zsh"):
        pytest.skip("no zsh to read it")
    (tmp_path / "_svmixer").write_text(text)
    done = subprocess.run(["zsh", "-n", tmp_path / "_svmixer"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "one shell is needed: svmixer completion bash|zsh|fish"),
        (["bsh"], "'bsh': did you mean 'bash'?: svmixer completion bash|zsh|fish"),
        (["tcl"], "'tcl': known: bash, zsh, fish: svmixer completion bash|zsh|fish"),
    ],
)
def test_shells_that_are_none(words, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["completion", *words])
    assert stop.value.code == 2 and message in capsys.readouterr().err
