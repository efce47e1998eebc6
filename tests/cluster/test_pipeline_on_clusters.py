"""Stages 2 to 5 of the smoke recipe as jobs of real schedulers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from clusters import ROOT, Cluster, wait_for

sys.path.insert(0, str(ROOT / "tests/recipe"))

pytestmark = [pytest.mark.cluster, pytest.mark.recipe, pytest.mark.slow]
# What two threads or jobs of so little work gain, they lose beside other tests.
SHORT = "--device.threads 1 --loop.max_epochs 1"
SINGLE = ["--distill_args", SHORT, "--train_args", SHORT]


def run_recipe(work: Path, environment: dict[str, str], *options: object) -> str:
    """Standard output of the recipe's run.sh in ``work``."""
    work.mkdir(exist_ok=True)
    done = subprocess.run(
        [ROOT / "egs/mini_an4/sv1/run.sh", *map(str, options)],
        cwd=work,
        env={**environment, "SVMIXER_VENV": sys.prefix},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def scores() -> dict[str, bytes]:
    """What the tests found, by scheduler."""
    return {}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """The lists of the smoke recipe, from a corpus of tones."""
    from small_an4 import write_corpus

    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder / "downloads")
    with tarfile.open(folder / "downloads.tar.gz", "w:gz") as stream:
        stream.add(folder / "downloads", "downloads")
    work = tmp_path_factory.mktemp("prepared")
    options = ["--local_data_opts", f"--archive {folder / 'downloads.tar.gz'}"]
    run_recipe(work, dict(os.environ), "--stop_stage", 1, *options)
    return work


def all_finished(cluster: Cluster) -> list[str]:
    """Names of all jobs so far, as of a moment at which all have ended and their ends are written down."""
    wait_for(lambda: cluster.jobs() == [], 120)
    # Accounts are written once a second.
    time.sleep(3)
    return cluster.finished_names()


def test_stages_2_to_5(cluster, prepared, tmp_path, scores):
    work = tmp_path / "work"
    shutil.copytree(prepared, work)
    options = ["--stage", 2, "--stop_stage", 5, "--nj", 2, *SINGLE]
    environment = cluster.env(cmd_backend=cluster.name, train_threads="1")
    earlier = len(all_finished(cluster))
    run_recipe(work, environment, *options)
    before = all_finished(cluster)
    assert {name.partition(".")[0] for name in before[earlier:]} == {"dump", "distill", "train", "extract"}
    result = json.loads((work / "exp/mini_an4/score/test/metrics.json").read_text())
    assert (result["trials"], result["targets"]) == (8, 4)
    scores[cluster.name] = (work / "exp/mini_an4/score/test/scores").read_bytes()
    # The same work is the same, whoever hands it out.
    assert len(set(scores.values())) == 1
    # Nothing is done twice.
    run_recipe(work, environment, *options)
    assert all_finished(cluster) == before
