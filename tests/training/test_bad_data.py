"""Data that cannot be read: a training says so and ends, whatever its data workers are doing."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from test_resume import command
from toy import write_config

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("module", "more"),
    [
        ("distill", ()),
        ("train", ()),
        # In the whitening, before the first step.
        ("train", ("--teacher", "", "--frontend_from_teacher", "false", "--loop.max_epochs", "0")),
    ],
)
def test_a_recording_that_is_gone(toy, tmp_path, module, more):
    for name in ("train", "valid", "teacher"):
        shutil.copytree(toy / name, tmp_path / name)
    lists = tmp_path / "train/wav.scp"
    lists.write_text(lists.read_text().replace(str(toy), str(tmp_path)))
    write_config(tmp_path / "config.yaml", tmp_path, workers=2)
    for path in (tmp_path / "train").glob("s0[1-9]-00*.wav"):
        path.unlink()
    done = subprocess.run(
        command(tmp_path, tmp_path / "out", module, *more),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr[-2000:]
    assert "missing file" in done.stderr.splitlines()[-1]
