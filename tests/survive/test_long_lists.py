"""Lists of 1.2 million utterances: every step that meets them stays under 1 GiB (benchmarks/lists.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_memory_of_long_lists(tmp_path):
    steps = ["generate", "validate", "plan", "merge", "join"]
    subprocess.run(
        [sys.executable, ROOT / "benchmarks/lists.py", "--steps", json.dumps(steps), "--output", tmp_path],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    found = json.loads((tmp_path / "lists.json").read_text())
    assert found["config"]["utterances"] == 1_200_000 and found["config"]["trials"] == 1_200_000
    assert [step["step"] for step in found["steps"]] == steps
    peaks = {step["step"]: step["peak_mib"] for step in found["steps"] if step["step"] != "generate"}
    assert all(10 < peak < 1024 for peak in peaks.values()), peaks
