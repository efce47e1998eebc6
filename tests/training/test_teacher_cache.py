"""The teacher's states on disk are those that it gives, of the crops that the student hears."""

import json
import pickle
from collections import namedtuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_resume import command, finish
from torch.utils.data import DataLoader

from svmixer.config import load
from svmixer.distributed.config import DeviceConfig
from svmixer.distributed.device import make_fabric
from svmixer.training import teacher_cache
from svmixer.training.config import TrainConfig
from svmixer.training.distill import DistillTask
from svmixer.training.speaker import SpeakerTask

CROPS = 2
ITEMS = 4 * 6 * 2 * CROPS  # speakers, utterances, speeds, crops


def task(toy, folder, kind=DistillTask, **more):
    overrides = {"data.crops_per_utterance": str(CROPS), "teacher_cache.dir": str(folder), **more}
    return kind(load(TrainConfig, toy / "config.yaml", overrides))


@pytest.fixture
def small_shards(monkeypatch):
    """Ten crops a shard: 2 states of 24 frames of 12 numbers."""
    monkeypatch.setattr(teacher_cache, "_SHARD_BYTES", 10 * 2 * 24 * 12 * 4)


def fabric():
    return make_fabric(DeviceConfig(threads=1), "32-true")


def test_what_is_read_is_what_the_teacher_gives(toy, tmp_path, small_shards):
    plain = task(toy, "")
    cached = task(toy, tmp_path / "cache", **{"teacher_cache.dtype": "float32"})
    cached.setup(fabric())
    # ⌈96 / 10⌉ shards, the last with six.
    shards = sorted((tmp_path / "cache").glob("*.npy"))
    assert [len(np.load(path)) for path in shards] == [10] * 9 + [6] and ITEMS == 96
    reader = pickle.loads(pickle.dumps(cached.train_set))
    for epoch, index in ((1, 0), (2, 0), (3, 0), (1, 47), (2, 30)):
        ours, item = reader[epoch, index], plain.train_set[epoch, index]
        assert torch.equal(ours["noisy"], item["noisy"]) and "clean" not in ours
        expected = plain.teacher.hidden_states(item["clean"][None], True, (1, 2))[0]
        torch.testing.assert_close(ours["teacher"], expected, atol=1e-6, rtol=1e-6)
    pairs = [[plain.train_set[epoch, index] for epoch in (1, 3)] for index in range(8)]
    assert all(torch.equal(one["clean"], two["clean"]) for one, two in pairs)
    # Of eight crops some are augmented, each time in another way.
    assert any(not torch.equal(one["noisy"], two["noisy"]) for one, two in pairs)
    # The utterance is longer than a crop, so its two crops differ.
    longer = int(np.argmax(plain.train_set.dump.num_samples))
    assert not torch.equal(plain.train_set[1, longer]["clean"], plain.train_set[2, longer]["clean"])


@pytest.mark.parametrize("kind", [DistillTask, SpeakerTask])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float16", 1e-3)])
def test_loss_and_gradients_are_those_without_it(toy, tmp_path, kind, dtype, tolerance):
    losses, gradients = [], []
    for folder in ("", tmp_path / "cache"):
        running = task(toy, folder, kind, **{"teacher_cache.dtype": dtype})
        running.setup(fabric())
        batch = next(iter(DataLoader(running.train_set, batch_sampler=[[(1, n) for n in range(8)]])))
        torch.manual_seed(0)
        loss, _ = running.module(running.prepare(batch))
        loss.backward()
        losses.append(loss.detach())
        gradients.append([p.grad for p in running.module.parameters() if p.grad is not None])
    torch.testing.assert_close(losses[1], losses[0], rtol=tolerance, atol=tolerance)
    for ours, expected in zip(gradients[1], gradients[0], strict=True):
        assert (ours - expected).norm() <= 10 * tolerance * expected.norm() + 1e-6


def test_an_interrupted_run_makes_the_missing_shards_alone(toy, tmp_path, small_shards):
    first = task(toy, tmp_path)
    first.setup(fabric())
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.npy")}
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.npy")}
    (tmp_path / "00001.npy").unlink()
    task(toy, tmp_path).setup(fabric())
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.npy")} == before
    changed = [name for name, time in times.items() if (tmp_path / name).stat().st_mtime_ns != time]
    assert changed == ["00001.npy"]


def test_the_estimate_comes_first_and_too_little_room_is_refused(toy, tmp_path, monkeypatch, caplog):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(teacher_cache.shutil, "disk_usage", lambda _: usage(0, 0, 100_000))
    # 96 crops × 2 states × 24 frames × 12 × 2 bytes.
    with pytest.raises(ValueError, match=r"needs 0.00 GB, 0.00 GB are free"):
        task(toy, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())
    monkeypatch.setattr(teacher_cache.shutil, "disk_usage", lambda _: usage(0, 0, 96 * 2 * 24 * 12 * 2))
    task(toy, tmp_path / "cache")


def test_other_states_are_refused_by_name(toy, tmp_path):
    task(toy, tmp_path).setup(fabric())
    index = json.loads((tmp_path / "index.json").read_text())
    assert index["shape"] == [2, 24, 12] and index["items"] == ITEMS and index["dtype"] == "float16"
    with pytest.raises(ValueError, match=r"holds other states: data \("):
        task(toy, tmp_path, **{"loop.seed": "1"})
    with pytest.raises(ValueError, match=r"holds other states: dtype \(float16 → float32\), shard_items"):
        task(toy, tmp_path, **{"teacher_cache.dtype": "float32"})
    with pytest.raises(ValueError, match=r"holds other states: layers \(\[1, 2\] → \[2\]\)"):
        task(toy, tmp_path, **{"distill.layers": "[2]"})
    with pytest.raises(ValueError, match="needs fixed crops"):
        task(toy, tmp_path, **{"data.crops_per_utterance": "0"})


@pytest.mark.slow
def test_training_with_it_equals_training_without(toy, tmp_path):
    """Three epochs of stage 3 in float32, also shared by two processes."""
    # Two processes draw other dropout.
    more = ["--device.threads", "1", "--data.crops_per_utterance", "2", "--model.student.dropout", "0"]
    cache = ["--teacher_cache.dir", str(tmp_path / "cache"), "--teacher_cache.dtype", "float32"]
    two = ["--device.processes", "2", "--loop.batch_size", "2"]
    for name, options in (("plain", more), ("cached", more + cache), ("two", more + cache + two)):
        finish(command(toy, tmp_path / name, "distill", *options))
    plain, cached = (load_file(tmp_path / name / "student.safetensors") for name in ("plain", "cached"))
    for key, value in plain.items():
        torch.testing.assert_close(cached[key], value, atol=2e-4, rtol=2e-3)
    # By their losses: biases that a norm takes out again have no gradient but rounding, which AdamW scales to
    # whole steps.
    one, two = (
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("plain", "two")
    )
    for key in ("train_loss", "valid_loss"):
        assert [epoch[key] for epoch in two] == pytest.approx([epoch[key] for epoch in one], rel=1e-3)
