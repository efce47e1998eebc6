"""The pipeline where paths and options have the words that the dispatchers replace."""

from __future__ import annotations

import shutil

import pytest
from toy_recipe import run

pytestmark = [pytest.mark.slow, pytest.mark.recipe, pytest.mark.timeout(900)]


def test_the_word_for_a_task_s_number_in_every_path(finished, recipe, tmp_path):
    """JOB in all folders, the recipe, the model and the tag: the same scores, where they belong."""
    work = tmp_path / "JOB JOB_"
    for name in ("train", "test"):
        shutil.copytree(finished / "data" / name, work / "JOB" / name)
    shutil.copytree(finished / "exp/toy/export", work / "JOB.model")
    (tmp_path / "JOB recipe").symlink_to(recipe)
    result = run(
        tmp_path / "JOB recipe", work, "--model", f"{work}/JOB.model", "--stage", "2", "--datadir", "JOB",
        "--dumpdir", "d/JOB", "--expdir", "JOB_", "--tag", "JOB8", "--lowpass", "", "--nj", "2",
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert sorted(path.name for path in work.iterdir()) == ["JOB", "JOB.model", "JOB_", "d"]
    assert [path.name for path in (work / "d").iterdir()] == ["JOB"]
    logs = sorted(path.name for path in (work / "d/JOB/test/log").glob("*.log"))
    assert logs == ["dump.1.log", "dump.2.log"]
    scores = work / "JOB_/JOB8/score/test/scores"
    assert scores.read_bytes() == (finished / "exp/toy/score/test/scores").read_bytes()
    assert (work / "JOB_/JOB8/control/test/scores").is_file()
