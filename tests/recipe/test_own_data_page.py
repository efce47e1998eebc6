"""docs/own_data.md: its commands in their order, with ten folders of WAV files and a very small training."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from speaker_folders import write_folders
from toy_recipe import ROOT, copy_checkout

from svmixer.fileio import read_json
from svmixer.lists import read_table

pytestmark = [pytest.mark.slow, pytest.mark.recipe, pytest.mark.timeout(1800)]

PAGE = (ROOT / "docs/own_data.md").read_text(encoding="utf-8")
# The first blocks of shell code: whose voice it is; a recipe, and its run.
WHO, TRAIN = (
    block.splitlines() for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[:2]
)
(ADAPT,) = re.findall(r"^\./run\.sh --tag adapted .*$", PAGE, re.MULTILINE)
# What makes the training very small; a student of two steps is no model for graphs in 8 bits.
SMALL = (
    "--onnx", "false", "--nj", "1",
    "--distill_args", "--loop.max_epochs 1 --loop.epoch_steps 2 --device.threads 1",
    "--train_args", "--whiten.crops 64 --device.threads 1",
)  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A home directory with a checkout that has ten folders of recordings and one whose voice is sought."""
    folder = tmp_path_factory.mktemp("home")
    checkout = folder / "checkout"
    copy_checkout(checkout)
    write_folders(checkout / "recordings", speakers=10, utterances=5)
    (checkout / "recordings/voice02/4.wav").rename(checkout / "unknown.wav")
    return folder


def type_in(home: Path, *lines: str, cwd: str = "checkout") -> str:
    """What a shell prints that is given these lines."""
    environment = {
        **os.environ,
        "HOME": str(home),
        "SVMIXER_VENV": sys.prefix,
        "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    command = ["bash", "-euo", "pipefail", "-c", "\n".join(lines)]
    done = subprocess.run(
        command, cwd=home / cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_three_commands_say_who_it_is(home):
    install, *commands = WHO
    assert install.endswith(" && pip install .") and len(commands) == 2
    said = type_in(home, *commands)
    form = r"1\. voice02: log-likelihood ratio -?\d+\.\d\d, probability \d\.\d{3}, cosine \d\.\d{4}"
    # Made-up voices are not what the thresholds are for, so the ranking counts alone.
    enrolled, (answer, first, *others) = said.splitlines()[:10], said.splitlines()[10:]
    assert enrolled[2] == "voice02: 4 new, 4 recordings in all"
    assert re.fullmatch(form, first) and len(others) == 2
    assert answer.startswith(("voice02", "nobody of 10 enrolled", "uncertain ("))


@pytest.fixture(scope="module")
def trained(home) -> tuple[Path, str, str]:
    """The recipe after its run, and what was printed before the training and in all."""
    start, change, run = TRAIN
    assert run == "./run.sh"
    looked = shlex.join(["./run.sh", "--stop_stage", "dump", *SMALL])
    assert "`./run.sh --stop_stage dump`" in PAGE
    before = type_in(home, start, change, looked)
    recipe = home / "mycorpus"
    assert not (recipe / "exp/mycorpus/distill").exists() and not (recipe / "exp/mycorpus/score").exists()
    return recipe, before, type_in(home, shlex.join(["./run.sh", *SMALL]), cwd="mycorpus")


def test_advice_comes_before_the_training(trained):
    recipe, before, _ = trained
    assert "50 recordings of" not in before and "49 recordings of 10 speakers" in before
    sizes = [line.split(" (")[0] for line in before.splitlines() if line.startswith("data/") and " (" in line]
    assert sizes == ["data/train: 5 speakers", "data/valid: 2 speakers", "data/test: 3 speakers"]
    metrics = read_json(recipe / "exp/mycorpus/baseline/score/test/metrics.json")
    eer = "{:.2f} [{:.2f}, {:.2f}]".format(metrics["eer"], *metrics["eer_ci95"])
    assert f"the shipped model (pocket2) on test, without training: EER {eer} %" in before
    advice = (
        "advice: use the shipped model (pocket2), or adapt pocket2 to your speakers, which takes minutes: "
    )
    assert f"{advice}{ADAPT}. 0 training" in " ".join(before.split())
    assert re.search(r"expected time of the training: \d+ \w+ \(distillation \d+ \w+, 2 steps of", before)
    assert "an estimate, from a few steps tried here" in before


def test_the_shipped_model_is_the_first_row_and_ones_own_the_second(trained):
    recipe, _, _ = trained
    text = (recipe / "exp/mycorpus/RESULTS.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| test |")]
    assert [row[1] for row in rows[:3]] == [
        "the shipped model (pocket2)", "distilled student",
        "distilled student minus the shipped model (pocket2)",
    ]  # fmt: skip
    for row, folder in zip(rows, ("baseline/score", "score"), strict=False):
        assert row[3].startswith(
            f"{read_json(recipe / f'exp/mycorpus/{folder}/test/metrics.json')['eer']:.2f} "
        )


def test_everything_lies_in_the_recipe_and_the_model_can_be_used(home, trained):
    recipe, _, _ = trained
    assert {"data", "dump", "exp"} <= {path.name for path in recipe.iterdir()}
    assert not {"data", "dump", "exp"} & {path.name for path in (home / "checkout").iterdir()}
    assert [path.name for path in (home / "checkout/egs").iterdir()] == ["TEMPLATE"]
    one, other = (home / f"checkout/recordings/voice02/{number}.wav" for number in (0, 1))
    said = type_in(
        home, f"svmixer verify --model exp/mycorpus/export --threshold 0.1 {one} {other}", cwd="mycorpus"
    )
    assert re.match(r"(one speaker|two speakers): cosine -?\d\.\d{4}, threshold ", said)


def test_the_model_of_the_package_adapted(home, trained):
    recipe, _, _ = trained
    small = ["--onnx", "false", "--nj", "1", "--train_args", "--whiten.crops 64 --device.threads 1"]
    type_in(home, f"{ADAPT} {shlex.join(small)}", cwd="mycorpus")
    assert not (recipe / "exp/adapted/distill").exists()
    rows = (recipe / "exp/adapted/RESULTS.md").read_text()
    assert "| test | pocket2, adapted |" in rows
    assert "| test | pocket2, adapted minus the shipped model (pocket2) |" in rows
    one, other = (home / f"checkout/recordings/voice02/{number}.wav" for number in (0, 1))
    words = f"svmixer verify --model exp/adapted/export --threshold 0.1 {one} {other}"
    assert re.match(
        r"(one speaker|two speakers): cosine -?\d\.\d{4}, threshold ", type_in(home, words, cwd="mycorpus")
    )


def test_a_second_run_does_nothing_and_gives_no_advice(home, trained):
    again = type_in(home, shlex.join(["./run.sh", *SMALL]), cwd="mycorpus")
    assert "exp/mycorpus/train is done" in again and "exp/mycorpus/baseline/score/test is done" in again
    assert "advice:" not in again and "expected time" not in again


def test_lists_are_written_again_after_a_change(home, trained):
    recipe, _, _ = trained
    (command,) = re.findall(r"^svmixer make_data_dir .*$", PAGE, re.MULTILINE)
    shutil.copytree(home / "checkout/recordings", home / "recordings")
    shutil.copy(home / "checkout/unknown.wav", home / "recordings/voice02/4.wav")
    assert "50 recordings of 10 speakers" in type_in(home, command)
    assert read_table(recipe / "lists/wav.scp")["voice02-4"] == f"{home}/recordings/voice02/4.wav"
