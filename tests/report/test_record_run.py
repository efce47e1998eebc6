"""run.json and commands.log: which run's record stays, and that the page of results says the same."""

import json
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from svmixer.fileio import read_json
from svmixer.report.document import Extras
from svmixer.report.experiment import read_experiment
from svmixer.report.page import write_report
from svmixer.stages.record_run import main

ROOT = Path(__file__).resolve().parents[2]


def record(folder: Path, number: int, first: int) -> dict:
    """Record run ``number``, which began at stage ``first``; returns what run.json then holds."""
    words = ["--exp_dir", str(folder), "--command", f"./run.sh --nj {number}", "--commit", f"c{number}"]
    main([*words, "--started", f"day {number}", "--first", str(first), "--option", f"nj={number}"])
    return read_json(folder / "run.json")


def log(folder: Path) -> list[str]:
    return [line.split()[1] for line in (folder / "commands.log").read_text().splitlines()]


@pytest.mark.parametrize(
    ("stages", "stays", "later"),
    [
        # The whole recipe, then further scores, a report, an export.
        ([3, 5, 7, 7], 1, [2]),
        # The speaker training once more: the student is the first run's.
        ([3, 4, 5], 1, [2, 3]),
        # All of it once more: nothing of the first is left.
        ([3, 5, 3], 3, []),
        ([4, 4], 2, []),
        # An evaluation of a given model.
        ([5, 5, 7], 1, [2]),
        # Exported before anything was recorded.
        ([7, 5], 2, []),
    ],
)
def test_the_run_that_made_the_results_stays(tmp_path, stages, stays, later):
    for number, first in enumerate(stages, 1):
        run = record(tmp_path, number, first)
    assert (run["started"], run["command"]) == (f"day {stays}", f"./run.sh --nj {stays}")
    assert (run["commit"], run["options"]) == (f"c{stays}", {"nj": str(stays)})
    assert [item["started"] for item in run.get("later", [])] == [f"day {number}" for number in later]
    assert log(tmp_path) == [str(number) for number in range(1, len(stages) + 1)]


def test_a_run_is_recorded_once(tmp_path):
    """Before its report and at its end."""
    record(tmp_path, 1, 3)
    record(tmp_path, 2, 5)
    before = (tmp_path / "run.json").read_bytes()
    record(tmp_path, 2, 5)
    assert (tmp_path / "run.json").read_bytes() == before
    assert log(tmp_path) == ["1", "2"]


def test_the_environment_and_what_the_options_would_be(tmp_path):
    words = ["--command", "./run.sh", "--commit", "c", "--started", "day 1", "--first", "3"]
    main(["--exp_dir", str(tmp_path), *words, "--option", "nj=4", "--default", "nj=2", "--default", "tag="])
    run = read_json(tmp_path / "run.json")
    assert run["options"] == {"nj": "4"} and run["defaults"] == {"nj": "2", "tag": ""}
    found = run["environment"]
    assert found["numpy"] == np.__version__ and found["Python"] == platform.python_version()
    assert platform.node() not in found.values()


def test_records_of_earlier_versions_are_those_of_trainings(tmp_path):
    old = {"command": "./run.sh", "commit": "c", "started": "day 0", "options": {}}
    (tmp_path / "run.json").write_text(json.dumps(old))
    assert record(tmp_path, 1, 5)["started"] == "day 0"
    assert record(tmp_path, 2, 3)["started"] == "day 2"


@pytest.mark.slow
def test_the_page_names_all_of_them(make_run):
    folder = make_run("exp/toy")
    record(folder, 1, 5)
    write_report(read_experiment(folder, "student"), Extras())
    text = (folder / "RESULTS.md").read_text()
    assert "started 2030-01-02T03:04:05Z." in text
    assert "Then:\n\n```\n./run.sh --nj 1\n```\n\nCommit `c1`, started day 1." in text


@pytest.mark.slow
@pytest.mark.recipe
def test_a_report_done_again_changes_no_record(make_run):
    """Through run.sh: the page has the start and the command that run.json has."""
    folder = make_run("exp/toy")
    before = (folder / "run.json").read_bytes()
    words = [str(ROOT / "run.sh"), "--recipe", ".", "--tag", "toy", "--stage", "6", "--stop_stage", "6"]
    for more in ([], ["--force", "true"]):
        done = subprocess.run([*words, *more], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert (folder / "run.json").read_bytes() == before
        text = (folder / "RESULTS.md").read_text()
        assert "started 2030-01-02T03:04:05Z." in text and "./run.sh --tag toy --seed" in text
        assert "--stage 6" not in text
    logged = (folder / "commands.log").read_text()
    assert logged.count("run.sh --recipe . --tag toy --stage 6") == 2 and "--force true" in logged
    # A page follows the record.
    record(folder, 1, 3)
    again = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert "exp/toy: again, because" not in again.stderr and "started day 1." in (
        (folder / "RESULTS.md").read_text()
    )
    shutil.copy(folder / "run.json", "kept")
    assert subprocess.run(words, capture_output=True, timeout=120).returncode == 0
    assert (folder / "run.json").read_bytes() == Path("kept").read_bytes()
