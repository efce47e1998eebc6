"""The environment's folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_folder_that_is_no_environment_is_left_alone(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work/thesis.txt").write_text("years\n")
    command = [ROOT / "tools/setup.sh", "--venv", tmp_path / "work"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "is no virtual environment: remove it, or name another" in done.stderr
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["thesis.txt"]
    assert (tmp_path / "work/thesis.txt").read_text() == "years\n"
