"""A small finished experiment, scored by the project's own code from synthetic embeddings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from svmixer.fileio import write_json
from svmixer.lists import write_table
from svmixer.scoring.result import score_set
from svmixer.scoring.vectors import write_job

SPEAKERS, UTTERANCES, DIM = 8, 6, 16


@pytest.fixture
def eval_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``dump/test`` under the working directory: 8 speakers with 6 utterances each, 400 trials."""
    monkeypatch.chdir(tmp_path)
    return make_eval_set(Path("dump/test"))


@pytest.fixture
def make_run(eval_set: Path) -> Callable[..., Path]:
    """``make_run("exp/a", spread=0.8, seed=1)`` writes a finished experiment and returns its folder."""

    def make(folder: str, spread: float = 0.8, seed: int = 1, with_logs: bool = True) -> Path:
        return write_experiment(Path(folder), eval_set, spread, seed, with_logs)

    return make


@pytest.fixture
def score_again() -> Callable[..., None]:
    """``score_again(folder, set, spread, seed, lowpass, model)`` writes the results of one system."""
    return write_result


def make_eval_set(folder: Path) -> Path:
    """Write ``trials`` and ``utt2spk``."""
    folder.mkdir(parents=True)
    utt2spk = {f"s{s}-u{u}": f"s{s}" for s in range(SPEAKERS) for u in range(UTTERANCES)}
    write_table(folder / "utt2spk", utt2spk)
    names = list(utt2spk)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    targets = [pair for pair in pairs if utt2spk[pair[0]] == utt2spk[pair[1]]]
    others = [pair for pair in pairs if utt2spk[pair[0]] != utt2spk[pair[1]]]
    chosen = [(1, *pair) for pair in targets] + [(0, *others[i]) for i in range(0, 3 * 280, 3)]
    (folder / "trials").write_text("".join(f"{label} {a} {b}\n" for label, a, b in chosen))
    return folder


def write_experiment(folder: Path, data_dir: Path, spread: float, seed: int, with_logs: bool) -> Path:
    """Results of a model and of two worse controls in both bands, logs and ``run.json``."""
    for kind, extra in (("score", 0.0), ("control", 0.8), ("control_whitened", 0.4)):
        for band, more in (("test", 0.0), ("test_lp3800", 0.2)):
            lowpass = 3800.0 if band.endswith("3800") else 0.0
            write_result(folder / kind / band, data_dir, spread + extra + more, seed, lowpass, kind)
    write_json(
        folder / "run.json",
        {
            "command": f"./run.sh --tag {folder.name} --seed {seed}",
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "dirty": False,
            "started": "2030-01-02T03:04:05Z",
            "options": {"nj": 2, "seed": seed},
        },
    )
    if with_logs:
        for stage in ("distill", "train"):
            (folder / stage).mkdir()
            records = [record(stage, epoch) for epoch in range(1, 13)]
            (folder / stage / "log.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    return folder


def write_result(
    output: Path, data_dir: Path, spread: float, seed: int, lowpass_hz: float, model: str
) -> None:
    """Score speakers' centres plus noise of the given spread."""
    centres = np.random.default_rng(7).normal(size=(SPEAKERS, DIM))
    noise = np.random.default_rng(seed)
    vectors = []
    for line in (data_dir / "utt2spk").read_text().splitlines():
        utterance, speaker = line.split()
        vector = centres[int(speaker[1:])] + spread * noise.normal(size=DIM)
        vectors.append((utterance, vector / np.linalg.norm(vector)))
    name = f"exp/{model}" if model == "score" else model
    settings = {
        "model": name,
        "protocol": "crops",
        "num_crops": 10,
        "lowpass_hz": lowpass_hz,
        "max_seconds": 0.0,
    }
    write_job(output, 1, vectors, settings)
    score_set(output, data_dir, output, num_jobs=1, replicates=200, seed=0)


def record(stage: str, epoch: int) -> dict:
    """A line of a training log."""
    loss = 1 / epoch + 0.2
    common = {"step": 10 * epoch, "epoch": epoch, "lr": 1e-3 / epoch, "train_loss": loss}
    if stage == "distill":
        return {**common, "valid_loss": loss + 0.05}
    return {
        **common,
        "train_speaker": 0.8 * loss,
        "train_distill": 0.2 * loss,
        "valid_eer": 40 / epoch,
        "valid_min_dcf": 0.5,
    }
