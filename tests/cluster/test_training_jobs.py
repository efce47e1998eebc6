"""A training of two nodes as a job of Slurm that is stopped in mid-epoch and submitted again."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import ROOT, wait_for

sys.path.insert(0, str(ROOT / "tests/training"))

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1200)]
STEPS = 12
STAGE = """
set -euo pipefail
root=$1 dir=$2 config=$3
. "$root/stages/lib.sh"
. "$root/stages/training.sh"
max_resubmits=3 num_nodes=2 ngpu=0 allow_changes=false
run_training "$dir" distill \\
    python -m svmixer distill --config "$config" --output_dir "$dir" --device.threads 1
echo finished
"""


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    """A toy corpus, teacher and configuration of one epoch."""
    from toy import write_config, write_dump, write_teacher

    folder = tmp_path_factory.mktemp("toy")
    for number, (name, speakers) in enumerate((("train", 4), ("valid", 3))):
        write_dump(folder / name, speakers=speakers, utterances=5, seed=number)
    write_teacher(folder / "teacher")
    write_config(folder / "config.yaml", folder, max_epochs=1, epoch_steps=STEPS, workers=0, save_every=1000)
    return folder


@contextlib.contextmanager
def started(toy: Path, directory: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    """The part of stage 3 that submits, in the background; ended with the block at the latest."""
    directory.mkdir()
    process = subprocess.Popen(
        ["bash", "-c", STAGE, "stage", ROOT, directory, toy / "config.yaml"],
        cwd=toy,
        env={**environment, "SVMIXER_VENV": sys.prefix, "train_needs": "--mem 2G", "train_threads": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=120)


def test_stopped_in_mid_epoch_and_submitted_again(slurm, toy, tmp_path):
    log = tmp_path / "stopped/distill.1.log"

    def in_mid_epoch() -> bool:
        return process.poll() is not None or (log.exists() and f"step 3/{STEPS} " in log.read_text())

    with started(toy, tmp_path / "stopped", slurm.env(cmd_backend="slurm")) as process:
        wait_for(in_mid_epoch, 500)
        assert process.poll() is None, process.communicate()[0]
        (job,) = slurm.jobs()
        # As a pre-emption does it; the other node hears of it from this one.
        slurm.call("scancel", "--full", "--signal=TERM", f"{job}_1")
        said = process.communicate(timeout=600)[0]
    assert process.returncode == 0 and said.endswith("finished\n"), said
    assert "submitting it again (1 of at most 3)" in said and "(2 of at most 3)" not in said
    # In mid-epoch: neither at its beginning nor at its end.
    (note,) = [line for line in said.splitlines() if line.endswith(" steps done)")]
    assert 3 <= int(note.rpartition("(")[2].split()[0]) < STEPS
    with started(toy, tmp_path / "undisturbed", {**os.environ, "cmd_backend": "local"}) as undisturbed:
        said = undisturbed.communicate(timeout=600)[0]
    assert undisturbed.returncode == 0, said
    name = "student.safetensors"
    assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()
