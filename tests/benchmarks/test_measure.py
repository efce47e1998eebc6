"""What the benchmarks share: medians, ratios of pairs, and files of results."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from measure import Result, Timing, paired, write_result


def test_figures_of_a_timing():
    timing = Timing((0.4, 0.1, 0.2, 0.3, 0.5))
    assert timing.median == 0.3
    assert timing.quartiles == (0.2, 0.4)
    assert timing.milliseconds() == "300.0 [200.0, 400.0]"
    assert Timing((0.7,)).quartiles == (0.7, 0.7)


def test_ratio_is_the_median_of_the_rounds():
    """A slow minute meets both systems of a round: 3, 2 and 2, where the medians' ratio is 4."""
    assert Timing((3.0, 8.0, 40.0)).over(Timing((1.0, 4.0, 20.0))) == 2.0
    with pytest.raises(ValueError):
        Timing((1.0,)).over(Timing((1.0, 2.0)))


def test_systems_take_turns():
    calls = []
    systems = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    timings = paired(systems, rounds=2, warm_up=1, repeat=2)
    assert "".join(calls) == "aabb" * 3
    assert {name: len(timing.seconds) for name, timing in timings.items()} == {"a": 2, "b": 2}


def test_results_name_their_command(tmp_path):
    result = Result(
        "latency",
        "Latency",
        "benchmarks/run.sh latency",
        ("model", "ms"),
        [("tiny", "9.4")],
        "lr",
        {"ms": 9.4},
        ["Words " * 30],
    )
    text = write_result(result, tmp_path)
    start = "## Latency\n\n```bash\nbenchmarks/run.sh latency\n```\n\n"
    assert text.startswith(start + "| model | ms |\n| :--- | ---: |\n| tiny | 9.4 |\n")
    assert max(map(len, text.splitlines())) <= 118 and text.count("Words") == 30
    assert (tmp_path / "latency.md").read_text() == text
    saved = json.loads((tmp_path / "latency.json").read_text())
    assert saved["ms"] == 9.4 and saved["command"] == "benchmarks/run.sh latency"
    assert 0 < saved["processor_share"] <= 1.01 and "python" in saved["machine"]
