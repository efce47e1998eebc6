"""The scripts that time extraction, streams, scoring and training, at their smallest."""

from __future__ import annotations

import math
import statistics
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from table_helpers import cells, run


@pytest.mark.slow
def test_extraction(tmp_path):
    found = run("extraction", tmp_path, "--threads", "[1]")["threads"]["1"]
    figures, rounds = found["figures"], found["rounds"]
    assert figures["utterances"] == 12 and len(rounds) == 2
    seconds = sum(each["extraction"] for each in rounds)
    assert math.isclose(figures["utterances a second, extraction"], 12 / seconds)
    shares = [each["compute"] / each["extraction"] for each in rounds]
    assert math.isclose(figures["extraction, share of compute-bound"], sum(shares) / 2)
    assert figures["padding, % of the rows computed"] == 0
    assert figures["samples computed for each sample of audio"] >= 1
    rows = {row[0]: row[1:] for row in cells(tmp_path / "extraction.md")}
    assert list(rows) == list(figures) and rows["windows"] == [f"{figures['windows']:.0f}"]


@pytest.mark.slow
def test_streaming(tmp_path):
    found = run("streaming", tmp_path, "--threads", "[1]")["threads"]["1"]
    assert [(case["hop"], case["chunk"]) for case in found["cases"]] == [(0.5, 0.1), (0.5, 0.5)]
    for case in found["cases"]:
        assert list(case["streams"]) == ["torch"]
        # Windows end at 3 s, which is not counted, 3.5, 4, 4.5 and 5 s.
        assert all(len(stream["latency"]) == 4 for stream in case["streams"].values())
    assert len(cells(tmp_path / "streaming.md")) == 2


@pytest.mark.slow
def test_scoring(tmp_path):
    found = run("scoring", tmp_path, "--threads", "[1, 2]")["threads"]
    rows = cells(tmp_path / "scoring.md")
    assert [row[0] for row in rows] == ["1"] * 6 + ["2"] * 6
    for number, figures in found.items():
        mine = [row for row in rows if row[0] == number]
        assert [row[1] for row in mine] == [*figures["seconds"], "all"] and len(mine) == 6
        medians = [statistics.median(times) for times in figures["seconds"].values()]
        assert all(len(times) == 2 for times in figures["seconds"].values())
        assert mine[-1][2] == f"{sum(medians):.2f}"
        assert mine[-1][3] == f"{max(figures['bytes'].values()) / 1e6:,.0f}"


@pytest.mark.slow
def test_training_step(tmp_path):
    found = run("training_step", tmp_path, "--threads", "[1]")
    assert list(found["seconds"]) == ["train 1 plain", "train 1 ours", "train 1 cached"]
    assert list(found["differences"]) == ["train"] and max(found["differences"]["train"].values()) <= 1e-5
    rows = cells(tmp_path / "training_step.md")
    assert [row[:3] for row in rows] == [["train", "1", system] for system in ("plain", "ours", "cached")]
    for row, parts in zip(rows, found["seconds"].values(), strict=True):
        assert all(len(times) == 2 for times in parts.values())
        assert max(parts["step"]) < 60 and row[7] == f"{1000 * statistics.median(parts['optimiser']):.0f}"
        pairs = zip(found["seconds"]["train 1 plain"]["step"], parts["step"], strict=True)
        assert row[-1].startswith(f"{statistics.median(slow / fast for slow, fast in pairs):.2f} ")
    # Read, not computed.
    teacher = {system: found["seconds"][f"train 1 {system}"]["teacher"] for system in ("ours", "cached")}
    assert max(teacher["cached"]) < min(teacher["ours"])
