"""The table of levels: gains of recordings that a model with a level does not notice."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).parent))

from table_helpers import cells, run

from svmixer.audio.dump import DumpConfig, dump_job
from svmixer.audio.merge import MergeConfig, merge_jobs


@pytest.mark.slow
def test_level(tmp_path):
    time = np.arange(32000) / 16000
    (tmp_path / "data").mkdir()
    lines = []
    for number in range(3):
        noise = np.random.default_rng(number).standard_normal(len(time))
        wave = 0.1 * noise * (1.5 + np.sin(2 * np.pi * 4 * time))
        soundfile.write(tmp_path / f"{number}.wav", wave, 16000)
        lines.append(f"u{number} {tmp_path / f'{number}.wav'}\n")
    (tmp_path / "data/wav.scp").write_text("".join(lines))
    dump_job(DumpConfig(str(tmp_path / "data"), str(tmp_path / "dump")))
    merge_jobs(MergeConfig(str(tmp_path / "data"), str(tmp_path / "dump")))
    figures = run("level", tmp_path, "--model", "pocket", "--test_dir", str(tmp_path / "dump"))
    found = {key: value for key, value in figures.items() if key.startswith("-")}
    assert list(found) == ["-6", "-12", "-20", "-30"] and all(value > 0.999 for value in found.values())
    for (gain, value), row in zip(found.items(), cells(tmp_path / "level.md"), strict=True):
        assert row[:2] == [gain, f"{value:.4f}"] and float(row[3]) <= float(row[2]) <= float(row[1])
