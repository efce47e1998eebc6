"""benchmarks/run.sh gives every script options that it has, and makes one page; the environment of peers."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from table_helpers import ROOT

RUN = ROOT / "benchmarks/run.sh"


def planned(*options: str) -> dict[str, list[str]]:
    """Table → its command, by ``--dry_run``."""
    done = subprocess.run([RUN, "--dry_run", "true", *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    commands = [shlex.split(line) for line in done.stdout.splitlines() if not line.startswith("==")]
    return {Path(command[1]).stem: command for command in commands}


def test_every_table_has_a_script_with_the_options_that_it_gets(capsys, monkeypatch):
    commands = planned("--threads", "1  2", "--quick", "true")
    assert list(commands)[:2] == ["models", "peers"] and len(commands) == 12
    for table, (_, script, *options) in commands.items():
        assert script == f"{ROOT}/benchmarks/{table}.py" and Path(script).is_file()
        monkeypatch.setattr(sys, "argv", [script])
        with pytest.raises(SystemExit, match="0"):
            importlib.import_module(table).main(["--help"])
        known = re.findall(r"^  --(\w+) ", capsys.readouterr().out, re.MULTILINE)
        given = [option.removeprefix("--") for option in options[::2]]
        assert given[:2] == ["output", "quick"] and set(given) <= set(known), table
        assert ("threads" in given) == ("threads" in known), table
        if "threads" in given:
            assert options[options.index("--threads") + 1] == "[1,2]"
    venv = os.environ.get("SVMIXER_BENCH_VENV") or f"{ROOT}/.venv-benchmarks"
    assert {commands[table][0] for table in commands} == {"python", f"{venv}/bin/python"}
    assert commands["peers"][0] == f"{venv}/bin/python"


@pytest.mark.slow
def test_run_makes_a_page(tmp_path):
    (tmp_path / "notes.md").write_text("By hand.\n")
    command = [RUN, "--tables", "lists augment", "--quick", "true", "--output", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "benchmarks.md").read_text()
    assert page.startswith((ROOT / "benchmarks/intro.md").read_text())
    assert "\nBy hand.\n" in page and len(re.findall(r"^- Machine: .*python 3", page, re.MULTILINE)) == 1
    # In the page's order, not in that of the option.
    assert re.findall(r"^## (.*)", page, re.MULTILINE) == ["Augmentation of a 3 s crop", "Long lists"]
    steps = {step["step"]: step for step in json.loads((tmp_path / "lists.json").read_text())["steps"]}
    assert list(steps)[:2] == ["generate", "idle"] and len(steps) == 11
    assert all(step["peak_mib"] >= 10 and step["seconds"] >= 0 for step in steps.values())
    kinds = json.loads((tmp_path / "augment.json").read_text())["seconds"]
    assert all(len(seconds) == 10 and min(seconds) > 0 for seconds in kinds.values()) and len(kinds) == 21


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tables", "model"], "run.sh: there is no table 'model'; did you mean 'models'?"),
        (["--threads", "1 two"], "run.sh: --threads: 'two' is no number of threads"),
        (["--threads", ""], "run.sh: --threads: '' is no number of threads"),
        (["--quick", "yes"], "run.sh: --quick must be true or false, not 'yes'"),
    ],
)
def test_wrong_options_are_told(options, message):
    done = subprocess.run([RUN, *options], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, f"{message}\n")


@pytest.mark.slow
def test_a_table_that_fails_leaves_the_page_to_the_others(tmp_path):
    environment = {**os.environ, "SVMIXER_BENCH_VENV": str(tmp_path / "nothing")}
    command = [RUN, "--tables", "peers augment", "--quick", "true", "--output", tmp_path]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.endswith("\nrun.sh: failed: peers\n")
    assert "\n## Augmentation of a 3 s crop\n" in (tmp_path / "benchmarks.md").read_text()


def write_wheel(folder: Path) -> Path:
    """A package with nothing but a value, and a list of requirements that names it."""
    wheel, about = folder / "toy_peer-1.0-py3-none-any.whl", "toy_peer-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("toy_peer.py", "VALUE = 7\n")
        file.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: toy_peer\nVersion: 1.0\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", "")
    requirements = folder / "requirements.txt"
    requirements.write_text(f"# One package.\n{wheel}\n")
    return requirements


def make_environment(venv: Path, requirements: Path) -> subprocess.CompletedProcess:
    command = [ROOT / "benchmarks/peers_env.sh", "--venv", venv, "--requirements", requirements]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_the_environment_of_peers(tmp_path):
    venv, requirements = tmp_path / "venv", write_wheel(tmp_path)
    # What an interrupted run leaves.
    (venv / "bin").mkdir(parents=True)
    (venv / ".benchmarks").touch()
    done = make_environment(venv, requirements)
    assert done.returncode == 0 and "== environment" in done.stdout, done.stderr
    program = "import numpy, sys, toy_peer; print(toy_peer.VALUE, toy_peer.__file__); print(numpy.__file__)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [venv / "bin/python", "-c", program]
    found = subprocess.run(command, env=environment, capture_output=True, text=True)
    own, project = found.stdout.splitlines()
    assert own.startswith(f"7 {venv}/") and not project.startswith(str(venv))
    # Complete: nothing to do.
    assert (done := make_environment(venv, requirements)).returncode == 0 and done.stdout == ""
    # Other packages, which fail: it is not taken for complete, then or later.
    requirements.write_text(f"{tmp_path}/missing.whl\n")
    for _ in range(2):
        done = make_environment(venv, requirements)
        assert done.returncode != 0 and "== environment" in done.stdout
        assert (venv / ".benchmarks").stat().st_size == 0


def test_a_foreign_folder_is_not_removed(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").touch()
    done = make_environment(tmp_path / "mine", write_wheel(tmp_path))
    assert done.returncode == 1 and "mine is not this script's: remove it" in done.stderr
    assert (tmp_path / "mine/file").exists()
