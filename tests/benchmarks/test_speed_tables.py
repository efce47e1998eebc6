"""The scripts that time forms of a model, extraction, streams, scoring and training, at their smallest."""

from __future__ import annotations

import math
import statistics
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from table_helpers import cells, run


@pytest.mark.slow
def test_latency(tmp_path):
    found = run("latency", tmp_path, "--threads", "[1]")["threads"]["1"]
    half = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    forms = ["released", *["released_bf16"] * half, "plain", "float32", "bf16", "int8"]
    assert list(found["seconds"]) == list(found["nearness"]) == forms
    assert list(found["gemm_peaks"]) == ["float32", *["bfloat16"] * half, "int8"] and found["windows"] == 1
    rows = cells(tmp_path / "latency.md")
    assert [row[:2] for row in rows] == [["1", form] for form in forms]
    exact = found["seconds"]["released"]["whole"]
    for form, row in zip(forms, rows, strict=True):
        seconds = found["seconds"][form]
        assert all(len(times) == 2 and min(times) > 0 for times in seconds.values())
        pairs = zip(exact, seconds["whole"], strict=True)
        assert row[6] == f"{statistics.median(slow / fast for slow, fast in pairs):.2f}"
    # The same mathematics, in two number formats.
    difference = {form: near["largest_difference"] for form, near in found["nearness"].items()}
    assert max(difference["plain"], difference["float32"]) < 1e-5 < difference["bf16"] < 0.1
    text = (tmp_path / "latency.md").read_text()
    assert "svmixer_tiny+ecapa with random weights" in text and "noise (windows: 1)" in text
    assert ("has no products in bfloat16" in text) == (not half)


@pytest.mark.slow
def test_precision(tmp_path):
    from loading import write_dump
    from systems import write_system

    names = [f"s{number % 4:03d}-{number:05d}" for number in range(8)]
    dump = write_dump(tmp_path, utterances=8, speakers=4)
    rows = [(int(a[:4] == b[:4]), a, b) for a in names for b in names if a != b]
    (dump / "trials").write_text("".join(f"{label} {a} {b}\n" for label, a, b in rows))
    write_system("svmixer_tiny+statistics", tmp_path / "model", graph=False)
    options = ["--model", tmp_path / "model", "--test_dir", dump, "--calibration_dir", dump]
    found = run("precision", tmp_path / "out", *map(str, options))
    precisions = ["plain", "float32", "bf16", "int8"]
    assert [row[0] for row in cells(tmp_path / "out/precision.md")] == precisions
    # Eight target trials there are, ten of the others are taken.
    assert "8 utterances, 18 trials" in (tmp_path / "out/precision.md").read_text()
    assert found["plain"]["difference"] == 0 and found["float32"]["difference"] < 1e-5
    assert all(0 <= found[name]["eer"] <= 100 and found[name]["lowest"] > 0.9 for name in precisions)


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
        assert list(case["streams"]) == ["torch, frames shared", "torch, not shared"]
        # Windows end at 3 s, which is not counted, 3.5, 4, 4.5 and 5 s.
        assert all(len(stream["latency"]) == 4 for stream in case["streams"].values())
        assert 0 <= case["largest_difference"] < 1e-5
    assert len(cells(tmp_path / "streaming.md")) == 4


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
