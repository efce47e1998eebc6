"""A training that meets an error ends, with one line that says which: also when a data worker met it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from svmixer.errors import SvmixerError
from svmixer.training.run import last_line

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_damaged_recording_ends_the_training_and_is_named(toy, workers, tmp_path):
    """Within a minute, not never: data workers ignore the signal by which Python ends its children."""
    dump = tmp_path / "train"
    shutil.copytree(toy / "train", dump)
    (dump / "wav.scp").write_text((dump / "wav.scp").read_text().replace(str(toy / "train"), str(dump)))
    damaged = dump / "s00-000.wav"
    os.truncate(damaged, 1044)
    command = [sys.executable, "-m", "svmixer", "train", "--config", toy / "config.yaml"]
    options = ["--output_dir", tmp_path / "run", "--data.train", dump, "--loop.workers", workers]
    done = subprocess.run(
        [*command, *options, "--device.threads", "1"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"error: utterance s00-000: {damaged}: unreadable: truncated: ")
    assert "1000 are there" in last


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Caught E in DataLoader worker process 0.\nTraceback …\na.b.E: v.scp: bad\n", "v.scp: bad"),
        ("v.scp: bad", "v.scp: bad"),
    ],
)
def test_an_error_of_a_data_worker_is_its_last_line(text, line):
    assert last_line(SvmixerError(text)) == line
