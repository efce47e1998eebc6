"""Every benchmark script at its smallest: what it writes is consistent; the times are not looked at."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from table_helpers import ROOT, cells, run


def complexity(*options: str) -> dict[str, dict]:
    command = [sys.executable, "-m", "svmixer", "complexity", "--format", "json", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {row["name"]: row for row in json.loads(done.stdout)}


@pytest.mark.slow
def test_lengths(tmp_path):
    options = ["--threads", "[1]", "--seconds", "[1, 5]", "--runtimes", "[torch]"]
    found = run("lengths", tmp_path, *options)
    shapes = [(case["way"], case["threads"], case["seconds"]) for case in found["cases"]]
    assert shapes == [("stream", 1, 1.0), ("stream", 1, 5.0), ("whole", 1, 1.0), ("whole", 1, 5.0)]
    for case in found["cases"]:
        assert case["system"] == "svmixer_tiny+statistics" and case["runtime"] == "torch"
        assert case["taken"] > 0 and case["calls"] == 1
        assert math.isclose(case["real_time_factor"], case["taken"] / case["seconds"])
        # More than the interpreter, less than a machine.
        assert 50 < case["peak_mib"] < 4000
    assert [row[4:] for row in cells(tmp_path / "lengths_memory.md")] == [
        [*(f"{case['peak_mib']:.0f}" for case in found["cases"][first : first + 2]), ""] for first in (0, 2)
    ]
    # What is there is kept, what is asked for on top of it is added.
    again = run(
        "lengths", tmp_path, *options, "--ways", "[stream]", "--seconds", "[1, 7]", "--resume", "true"
    )
    assert [case for case in again["cases"] if case["seconds"] != 7.0] == found["cases"]
    assert [row[-1] for row in cells(tmp_path / "lengths.md")] == [
        f"{case['real_time_factor']:.4f}" if case else ""
        for case in (next(case for case in again["cases"] if case["seconds"] == 7.0), None)
    ]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_memory_does_not_grow_with_the_recording(tmp_path):
    options = ["--threads", "[1]", "--runtimes", "[onnx]", "--ways", "[whole, stream]", "--quick", "false"]
    run("lengths", tmp_path, *options, "--systems", "[svmixer_tiny+statistics]", "--seconds", "[60, 3600]")
    rows = json.loads((tmp_path / "lengths_memory.json").read_text())["rows"]
    assert [row["row"][2] for row in rows] == ["stream", "whole"]
    assert all(0.5 < row["growth"] <= 1.2 for row in rows), rows


def test_growth_is_an_hour_over_a_minute():
    from lengths import duration, growth

    row = [{"seconds": 60.0, "peak_mib": 200.0}, {"seconds": 3600.0, "peak_mib": 230.0}]
    assert growth(row) == 1.15 and growth(row[:1]) is None
    assert [duration(seconds) for seconds in (1.0, 90.0, 120.0, 3600.0)] == ["1 s", "90 s", "2 min", "1 h"]


@pytest.mark.slow
def test_models(tmp_path):
    found = run("models", tmp_path, "--threads", "[1]", "--encoders", "[transformer]")["models"]
    assert [(model["kind"], model["name"]) for model in found] == [
        ("student", "svmixer_tiny"), ("encoder", "svmixer_tiny+transformer"), ("teacher", "wavlm_tiny"),
        ("system", "svmixer_tiny+statistics"),
    ]  # fmt: skip
    for place, options in ((0, []), (1, ["--student.encoder", "transformer"])):
        wanted = complexity("--student", "conf/student/svmixer_tiny.yaml", *options)["student"]
        assert (found[place]["params"], found[place]["macs"]) == (wanted["params"], wanted["macs"])
        # Counted as executed: without data some norms are made of other operations.
        assert math.isclose(found[place]["operations"], wanted["operations"], rel_tol=0.01)
    options = ["--student", "conf/student/svmixer_tiny.yaml", "--backend", "conf/backend/statistics.yaml"]
    assert found[3]["macs"] == complexity(*options)["system"]["macs"]
    from safetensors import safe_open

    with safe_open(ROOT / "svmixer/assets/wavlm_tiny/model.safetensors", "pt") as file:
        stored = sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
    assert found[2]["params"] == stored
    assert 0 < found[2]["macs"] < found[2]["operations"]
    rows = cells(tmp_path / "models.md")
    for model, row in zip(found, rows, strict=True):
        assert len(model["seconds"]["1"]) == 2 and min(model["seconds"]["1"]) > 0
        assert math.isclose(model["real_time_factor"], sum(model["seconds"]["1"]) / 2 / 3)
        assert row[2] == f"{model['params']:,}" and row[3] == f"{model['macs'] / 1e9:.2f}"


def test_peers(tmp_path):
    missing = [name for name in ("resemblyzer", "speechbrain") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (benchmarks/requirements.txt)")
    found = run("peers", tmp_path, "--threads", "[1]")["threads"]["1"]
    systems, peak = found["systems"], found["peak"]
    ours = ["pocket, PyTorch", "pocket, ONNX Runtime", "pocket, ONNX Runtime, int8"]
    assert list(systems) == [*ours, "resemblyzer", "espnet_xvector"]
    assert [figures["embedding"] for figures in systems.values()] == [1452, 1452, 1452, 256, 192]
    # Three LSTM layers of 256 on 40 bands, four gates and two biases each, and a square linear map.
    lstm = 4 * 256 * (40 + 256 + 2) + 2 * 4 * 256 * (256 + 256 + 2)
    assert systems["resemblyzer"]["params"] == lstm + 256 * 256 + 256
    assert all(len(figures["3"]) == 2 and min(figures["3"]) > 0 for figures in systems.values())
    rows = {row[0]: row for row in cells(tmp_path / "peers.md")}
    # Medians of two rounds are their means; the shares are those of the faster product.
    for name in ours:
        times = systems[name]["3"]
        faster = [first / own for first, own in zip(systems[ours[0]]["3"], times, strict=True)]
        assert rows[name][-2] == f"{sum(faster) / 2:.2f}"
        kind = "int8" if name.endswith("int8") else "float32"
        rates = [
            [systems[name]["macs"] / own / (size**3 / best) for best, own in zip(rounds, times, strict=True)]
            for size in (128, 256)
            if (rounds := peak[f"mm {kind} {size}"])
        ]
        assert rows[name][-1] == f"{min(sum(rate) / 2 for rate in rates):.0%}"
    assert rows["resemblyzer"][-2:] == ["", ""]


def test_a_missing_peer_is_told(tmp_path, monkeypatch):
    from peers import open_peer

    from svmixer.config import ConfigError

    monkeypatch.setitem(sys.modules, "resemblyzer", None)
    with pytest.raises(ConfigError, match=r"resemblyzer: .*benchmarks/run\.sh makes an environment"):
        open_peer("resemblyzer")


@pytest.mark.slow
def test_peak(tmp_path):
    found = run("peak", tmp_path, "--threads", "[1]", "--batches", "[1, 2]")["threads"]["1"]
    measured = found["measured"]
    assert measured["mm float32 256"]["macs"] == 256**3
    student = complexity(
        "--student", "conf/student/svmixer_tiny.yaml", "--backend", "conf/backend/statistics.yaml"
    )
    for batch in (1, 2):
        part = {
            name: measured[f"{name}, batch {batch}"]["macs"] for name in ("front end, projection", "layers")
        }
        assert part["front end, projection"] == batch * student["front end + projection"]["macs"]
        assert sum(part.values()) == batch * student["student"]["macs"]
        assert measured[f"whole, batch {batch}"]["macs"] == batch * student["system"]["macs"]
    best = found["peak"]["float32"]
    assert best in ("mm float32 128", "mm float32 256")
    product, whole = measured[best], measured["whole, batch 2"]
    rates = [
        (whole["macs"] / ours) / (product["macs"] / theirs)
        for ours, theirs in zip(whole["seconds"], product["seconds"], strict=True)
    ]
    # The median of two rounds is their mean.
    assert math.isclose(found["share"]["whole, batch 2"], sum(rates) / 2)
    half = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    formats = ["float32", *["bfloat16"] * half, "int8"]
    assert [row[1] for row in cells(tmp_path / "peak_machine.md")] == formats


def test_the_share_of_a_peak():
    from peak import fastest, rate, share

    found = {
        "mm float32 10": {"macs": 1000, "seconds": [2.0, 2.0, 4.0]},
        "mm float32 20": {"macs": 8000, "seconds": [4.0, 4.0, 8.0]},
        "whole": {"macs": 2000, "seconds": [2.0, 4.0, 8.0]},
    }
    assert fastest(found, "float32") == "mm float32 20"
    assert rate(found["mm float32 20"]) == 2e-6
    # 1000, 500 and 250 a second of 2000, 2000 and 1000.
    assert share(found["whole"], found["mm float32 20"]) == 0.25


@pytest.mark.slow
def test_loading(tmp_path):
    cases = run("loading", tmp_path, "--threads", "[1]")["cases"]
    assert [(case["augmented"], case["workers"]) for case in cases] == [
        (False, 0), (False, 1), (True, 0), (True, 1),
    ]  # fmt: skip
    for case in cases:
        assert len(case["read"]) == len(case["waited"]) == len(case["computed"]) == 2
        # Two batches of two; the median of two rounds is their mean.
        assert math.isclose(case["utterances_per_second"], 4 / (sum(case["read"]) / 2))
        whole = sum(case["waited"]) + sum(case["computed"])
        assert math.isclose(case["data_share"], sum(case["waited"]) / whole)


def test_loader_gives_what_training_gets(tmp_path):
    import numpy as np
    from loading import open_loader, train_set, write_dump

    dump = str(write_dump(tmp_path, utterances=6, speakers=3))
    plain, augmented = train_set(dump, augmented=False), train_set(dump, augmented=True)
    assert (len(plain), len(plain.names)) == (6, 3)
    assert (len(augmented), len(augmented.names)) == (18, 9)
    batches = list(open_loader(plain, 0, 2, 3))
    assert [tuple(batch["clean"].shape) for batch in batches] == [(2, 48000)] * 3
    assert all(np.array_equal(batch["clean"], batch["noisy"]) for batch in batches)
    changed = [not np.array_equal(b["clean"], b["noisy"]) for b in open_loader(augmented, 0, 2, 9)]
    assert any(changed)


def test_processes_apart_have_their_own_peak_and_threads():
    """A large parent does not count, which getrusage would have it do."""
    from apart import apart, peak_mib, threads

    ballast = bytearray(os.urandom(1)) * (400 << 20)
    assert peak_mib() > 400
    assert 5 < apart(peak_mib, 1) < 200
    assert apart(threads, 3) == 3
    del ballast


def test_a_failure_apart_ends_the_benchmark(capfd):
    from apart import apart, threads

    with pytest.raises(SystemExit, match=r"apart\.threads\(\{'no': 1\}\): exit status 1"):
        apart(threads, 1, no=1)
    assert "TypeError" in capfd.readouterr().err
