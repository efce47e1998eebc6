"""run.sh --baseline: when the model that is there is scored, and when it gives advice."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("01_data", "02_dump", "03_distill", "04_train", "05_score", "06_report", "07_export", "advice")
# Notes its name, and what it evaluates where.
STAGE = """#!/usr/bin/env bash
# A stage.
set -euo pipefail
option_names="model tag expdir control score_norm"
. "$(dirname "$0")/options.sh"
echo "$(basename "$0" .sh):$model:$tag:$control:$score_norm" >>"$expdir/ran"
"""


@pytest.fixture
def checkout(tmp_path) -> Path:
    folder = tmp_path / "checkout"
    for name in ("run.sh", "path.sh", "stages/options.sh", "tools/parse_options.sh", "tools/run_child.sh"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "svmixer").symlink_to(ROOT / "svmixer")
    (folder / "tools/setup.sh").write_text("#!/bin/sh\n")
    (folder / "tools/setup.sh").chmod(0o755)
    for name in STAGES:
        (folder / f"stages/{name}.sh").write_text(STAGE)
        (folder / f"stages/{name}.sh").chmod(0o755)
    return folder


def short(line: str) -> str:
    """``3`` for 03_distill; what is evaluated where, if it is something else than what is trained."""
    script, model, tag, control, norm = line.split(":")
    name = script.partition("_")[0].lstrip("0")
    return f"{name}: {model} in {tag}, {control}, {norm}" if model else name


# Stage 5 for the baseline.
SCORE = "5: pocket in mine/baseline, false, none"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--baseline", "pocket"], ["1", "2", SCORE, "advice", "3", "4", SCORE, "5", "6", "7"]),
        (["--baseline", "pocket", "--stop_stage", "dump"], ["1", "2", SCORE, "advice"]),
        (["--baseline", "pocket", "--stop_stage", "data"], ["1"]),
        (["--baseline", "pocket", "--stage", "4", "--stop_stage", "4"], [SCORE, "advice", "4"]),
        (["--baseline", "pocket", "--stage", "5", "--stop_stage", "6"], [SCORE, "5", "6"]),
        (["--stage", "2", "--stop_stage", "4"], ["2", "3", "4"]),
        # What is evaluated instead of a training has no baseline.
        (
            ["--baseline", "pocket", "--model", "other", "--stage", "5"],
            ["5: other in mine, true, asnorm", "6: other in mine, true, asnorm"],
        ),
    ],
)
def test_when_it_is_scored(checkout, tmp_path, monkeypatch, words, expected):
    monkeypatch.setenv("SVMIXER_VENV", sys.prefix)
    (tmp_path / "exp/mine").mkdir(parents=True)
    options = ["--recipe", ".", "--expdir", "exp", "--tag", "mine", "--control", "true"]
    options += ["--score_norm", "asnorm", *words]
    done = subprocess.run([checkout / "run.sh", *options], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(map(short, (tmp_path / "exp/ran").read_text().splitlines())) == expected
