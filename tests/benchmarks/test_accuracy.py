"""The tables of accuracy and of formatting, on voices made by formula."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))

from table_helpers import cells, run
from voices import HIGH, LOW, RATE, voice

from svmixer.audio.dump import DumpConfig, dump_job
from svmixer.audio.merge import MergeConfig, merge_jobs
from svmixer.lists import read_table, write_table
from svmixer.lists.trials import Trials

KINDS = (LOW, HIGH, (160.0, (500.0, 1500.0, 2500.0)))


def dumped(root: Path, name: str, seed: int) -> Path:
    """Three recordings each of three voices; all pairs are trials."""
    data, dump = root / f"data/{name}", root / f"dump/{name}"
    data.mkdir(parents=True)
    utterances = {}
    for speaker, kind in enumerate(KINDS):
        for number in range(3):
            wave = voice(kind, seed + 10 * speaker + number, samples=3 * RATE)
            soundfile.write(data / f"{speaker}{number}.wav", wave, RATE)
            utterances[f"s{speaker}-{number}"] = str(data / f"{speaker}{number}.wav")
    write_table(data / "wav.scp", utterances)
    write_table(data / "utt2spk", {name: name[:2] for name in utterances})
    pairs = [(a, b) for a in utterances for b in utterances if a < b]
    (data / "trials").write_text("".join(f"{int(a[:2] == b[:2])} {a} {b}\n" for a, b in pairs))
    dump_job(DumpConfig(str(data), str(dump)))
    merge_jobs(MergeConfig(str(data), str(dump)))
    (dump / "trials").write_bytes((data / "trials").read_bytes())
    (dump / "utt2spk").write_bytes((data / "utt2spk").read_bytes())
    return dump


@pytest.mark.slow
def test_accuracy(tmp_path):
    train, test = dumped(tmp_path, "train", 100), dumped(tmp_path, "test", 0)
    out = tmp_path / "out"
    figures = run("accuracy", out, "--sets", f"[{test}]", "--train_dir", str(train), "--models", "[pocket2]")
    rates = figures["error_rates"]
    assert list(rates) == [
        f"{system}, test, {condition}"
        for condition in ("as recorded", "below 3.8 kHz", "across channels")
        for system in ("control: mean and deviation of log-mel", "control, whitened", "pocket2")
    ]
    # What stage 5 has, by hand: all 36 pairs of 9 recordings.
    assert {one["trials"] for one in rates.values()} == {36}
    assert rates["pocket2, test, as recorded"]["eer"] == 0.0
    assert rates["pocket2, test, as recorded"] != rates["pocket2, test, across channels"]
    cost, recorded, *others = cells(out / "accuracy.md")
    assert cost[:4] == ["", "ms of 3 s, 1 thread", "", ""] and float(cost[4].split()[0]) > 0
    assert recorded[:2] == ["test", "as recorded"] and recorded[4].startswith("0.00 ")
    assert [row[1] for row in others] == ["below 3.8 kHz", "across channels"]
    assert (out / "accuracy.png").read_bytes().startswith(b"\x89PNG")


def test_trials_are_thinned_out_evenly():
    from accuracy import thinned

    names = [f"u{number}" for number in range(20)]
    trials = Trials(np.arange(20, dtype=np.int8) % 2, np.arange(20), np.arange(20)[::-1].copy(), names)
    assert thinned(trials, 0) is trials and thinned(trials, 20) is trials
    found = thinned(trials, 3)
    assert list(found.rows()) == [(0, "u0", "u19"), (1, "u9", "u10"), (1, "u19", "u0")]
    assert sorted(found.utterances) == ["u0", "u10", "u19", "u9"]


@pytest.mark.slow
def test_formatting(tmp_path):
    from formatting import KINDS as FILES

    figures = run("formatting", tmp_path)
    rows = cells(tmp_path / "formatting.md")
    ours = [row for row in rows if row[1] == "svmixer, stage 2"]
    assert [row[0] for row in ours] == list(FILES) and all(row[3] == "" for row in ours)
    assert all(len(figures[f"{row[0]}, {row[1]}"]["seconds"]) == 1 for row in rows)
    assert figures["hours"] == pytest.approx(3 * 8 / 3600)


def test_what_is_formatted_is_what_was_read(tmp_path):
    """The systems that are timed do the same: one channel of 16 kHz, as long as the file."""
    from formatting import KINDS as FILES
    from formatting import espnet_calls, stage_2, write_files

    pytest.importorskip("espnet2")
    pytest.importorskip("resampy")
    waves = np.stack([voice(LOW, seed, samples=44100, rate=44100) for seed in (0, 1)])
    for kind in [kind for kind in FILES if "16 kHz" in kind]:
        table = write_files(waves, kind, tmp_path / kind)
        for number, call in enumerate((stage_2, espnet_calls)):
            folder = tmp_path / f"{kind}-{number}"
            folder.mkdir()
            call(table, folder)
    from svmixer.audio.dumpset import DumpSet

    for kind in [kind for kind in FILES if "16 kHz" in kind]:
        dump = DumpSet(tmp_path / f"{kind}-0/dump")
        other = read_table(tmp_path / f"{kind}-1/wav.scp")
        for row, name in enumerate(dump.utterances):
            wave, rate = soundfile.read(other[name])
            assert rate == RATE
            np.testing.assert_allclose(dump.read(row), wave, atol=1e-4)
