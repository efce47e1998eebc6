"""stages/options.sh: one table of options for run.sh and the stages: help, checks, what run.sh hands on."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STAGES = sorted((ROOT / "stages").glob("0*.sh"))
TABLE = ROOT / "stages/options.sh"
# Options of run.sh and of single stages that the table does not have.
OWN = {
    "run.sh": {"stage", "stop_stage", "skip_stages", "recipe_defaults"},
    "01_data.sh": {"given"},
    "02_dump.sh": {"min_seconds", "given"},
}


def call(script: Path, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    return subprocess.run([script, *words], cwd=cwd, capture_output=True, text=True, timeout=60)


def help_lines(script: Path) -> dict[str, str]:
    """What the help says of each option."""
    done = call(script, "--help")
    assert done.returncode == 0, done.stderr
    return dict(re.findall(r"^  --(\w+) +(\S.* \(default: .*\))$", done.stdout, re.MULTILINE))


@pytest.fixture(scope="module")
def table() -> dict[str, str]:
    """The table's options with their defaults."""
    declared = TABLE.read_text().partition("\n. ")[0]
    found = re.findall(r"^([a-z]\w*)=(.*)$", declared, re.MULTILINE)
    assert len(found) == len(dict(found)) > 30
    return {name: "".join(shlex.split(value)) for name, value in found}


def test_run_has_all_and_says_what_the_table_says(table):
    lines = help_lines(ROOT / "run.sh")
    assert lines.keys() == table.keys() | OWN["run.sh"]
    for name, default in table.items():
        assert lines[name].endswith(f" (default: {default or 'none'})")


@pytest.mark.parametrize("script", STAGES, ids=lambda path: path.name)
def test_a_stage_takes_what_it_uses(script, table):
    """No more, no less; and its help says what that of run.sh says."""
    lines = help_lines(script)
    shared = {name: text for name, text in lines.items() if name in table}
    assert lines.keys() - shared.keys() == OWN.get(script.name, set())
    everything = help_lines(ROOT / "run.sh")
    assert shared == {name: everything[name] for name in shared}
    text = script.read_text()
    if '/training.sh"' in text:
        text += (ROOT / "stages/training.sh").read_text()
    # lib.sh needs these of every stage.
    assert shared.keys() == {"recipe", "force"} | set(re.findall(r"\$\{?(\w+)", text)) & table.keys()


# Prints what it was given.
STAGE = """#!/usr/bin/env bash
# Says what it got.
set -euo pipefail
option_names="{names}"
# Not an option.
option_names+=" expdir"
# Its own.
mine=kept
. "$(dirname "$0")/options.sh"
for name in $option_names mine; do printf '%s=%s\\0' "$name" "${{!name}}"; done >>"$expdir/got"
"""


@pytest.fixture
def checkout(tmp_path) -> Path:
    """run.sh with two stages that note what they get."""
    folder = tmp_path / "my checkout"
    for name in ("run.sh", "path.sh", "stages/options.sh", "tools/parse_options.sh", "tools/run_child.sh"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    names = {"01_data": "local_data_opts", "02_dump": "max_drop trim test_sets"}
    for name, text in {f"stages/{n}.sh": STAGE.format(names=v) for n, v in names.items()}.items():
        (folder / name).write_text(text)
    (folder / "tools/setup.sh").write_text("#!/bin/sh\n")
    for name in ("tools/setup.sh", "stages/01_data.sh", "stages/02_dump.sh"):
        (folder / name).chmod(0o755)
    (folder / "svmixer").symlink_to(ROOT / "svmixer")
    return folder


def got(folder: Path) -> list[list[str]]:
    text = (folder / "got").read_text()
    return [part.split("=", 1) for part in text.split("\0")[:-1]]


def test_values_are_handed_on_as_they_are(checkout, tmp_path, monkeypatch):
    monkeypatch.setenv("SVMIXER_VENV", os.environ.get("SVMIXER_VENV", str(ROOT / ".venv")))
    options, sets = "--a 'b c' \"d\\e\"\n--x=$HOME `id`", "-a --b é'\" *"
    words = ["--recipe", ".", "--stop_stage", "2", "--expdir", ".", "--local_data_opts", options]
    done = call(checkout / "run.sh", *words, f"--test-sets={sets}", "--trim=true", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert got(tmp_path) == [
        ["local_data_opts", options], ["expdir", "."], ["mine", "kept"],
        ["max_drop", "0.02"], ["trim", "true"], ["test_sets", sets], ["expdir", "."], ["mine", "kept"],
    ]  # fmt: skip


def test_a_stage_alone_has_the_defaults_and_no_option_of_others(checkout, tmp_path):
    stage = checkout / "stages/02_dump.sh"
    assert call(stage, "--mine", "x", cwd=tmp_path).returncode == 1
    (tmp_path / "exp").mkdir()
    assert call(stage, "--mine", "x", cwd=tmp_path).returncode == 0
    assert got(tmp_path / "exp") == [
        ["max_drop", "0.02"], ["trim", "false"], ["test_sets", "test"], ["expdir", "exp"], ["mine", "x"],
    ]  # fmt: skip
    refused = call(stage, "--max_drpo", "1", cwd=tmp_path)
    assert refused.stderr.startswith("02_dump.sh: unknown option --max_drpo; did you mean --max_drop? (")
    assert "unknown option --tag; did you mean" in call(stage, "--tag", "x", cwd=tmp_path).stderr
    assert "unknown option --min; did you mean --mine?" in call(stage, "--min", "x", cwd=tmp_path).stderr


def test_help_is_in_the_order_of_declaration(checkout):
    done = call(checkout / "stages/02_dump.sh", "--help")
    names = re.findall(r"^  --(\w+)", done.stdout, re.MULTILINE)
    assert names == ["test_sets", "trim", "max_drop", "expdir", "mine", "help"]
    assert done.stdout.startswith("Says what it got.\n\nUsage: 02_dump.sh [--option value ...]\n")


def test_a_name_that_the_table_does_not_have(checkout):
    stage = checkout / "stages/01_data.sh"
    stage.write_text(stage.read_text().replace("local_data_opts", "local_data_opt"))
    done = call(stage)
    assert done.returncode == 1
    assert re.fullmatch(r"01_data.sh: option_names: .*options.sh declares no 'local_data_opt'\n", done.stderr)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trim", "yes"], "--trim must be true or false, not 'yes'"),
        (["--nj", "0"], "--nj must be an integer of at least 1, not '0'"),
        (["--ngpu", "-1"], "--ngpu must be an integer of at least 0, not '-1'"),
        (["--max_resubmits", "many"], "--max_resubmits must be an integer of at least 0, not 'many'"),
        (["--export_args", "'a"], "--export_args: a quote ' is not closed in: 'a"),
        (["--score_norm", "znorm"], "--score_norm znorm is not one of none, asnorm, snorm"),
        (["--durations", "1 2s"], "--lowpass and --durations take numbers, found '2s'"),
        (["--channels", "amrnb opus"], "--channels takes pairs ENROL:TEST, as amrnb:opus, found 'amrnb'"),
        (["--nj", "1", "left"], "unexpected argument 'left' (options are --name value; --help lists them)"),
        (["--recipe_defaults", "begin"], "--recipe_defaults is end or empty, not 'begin'"),
    ],
)
def test_values_are_checked_before_anything_is_done(words, message, tmp_path):
    """By run.sh, and by a stage that has the option."""
    scripts = [script for script in STAGES if words[0].strip("-") in help_lines(script)]
    for script in (ROOT / "run.sh", *scripts):
        recipe = ["--recipe", "."] if script.name == "run.sh" else []
        done = call(script, *recipe, *words, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (1, f"{script.name}: {message}\n")
    assert scripts or words[0] == "--recipe_defaults"
    assert list(tmp_path.iterdir()) == []
