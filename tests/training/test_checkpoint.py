import math

import pytest
import torch

from svmixer.training.checkpoint import (
    BestCheckpoints,
    CheckpointError,
    load_newest,
    load_tree,
    rotate,
    save_tree,
)


def tree(value: float) -> dict:
    shared = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    return {
        "weights": {"a": shared, "b": shared[0], 7: torch.tensor(3)},
        "list": [1, 2.5, "three", None, True, (4, torch.ones(2, dtype=torch.uint8))],
        "best": math.inf,
        "value": value,
    }


def test_round_trip_keeps_types_keys_and_bits(tmp_path):
    save_tree(tmp_path / "a.ckpt", tree(0.1))
    found = load_tree(tmp_path / "a.ckpt")
    assert (
        torch.equal(found["weights"]["a"], tree(0)["weights"]["a"])
        and found["weights"]["a"].dtype == torch.float64
    )
    assert torch.equal(found["weights"]["b"], torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64))
    assert found["weights"][7].item() == 3 and 7 in found["weights"]
    assert found["list"][:5] == [1, 2.5, "three", None, True]
    assert isinstance(found["list"][5], tuple) and found["list"][5][1].dtype == torch.uint8
    assert found["best"] == math.inf and found["value"] == 0.1


def test_truncated_newest_falls_back_to_the_one_before(tmp_path):
    path = tmp_path / "last.ckpt"
    rotate(path, tree(1.0))
    rotate(path, tree(2.0))
    assert load_newest(path)["value"] == 2.0
    path.write_bytes(path.read_bytes()[:100])
    assert load_newest(path)["value"] == 1.0
    (tmp_path / "last.ckpt.previous").write_bytes(b"")
    with pytest.raises(CheckpointError, match="no readable checkpoint"):
        load_newest(path)


def test_nothing_there_is_none(tmp_path):
    assert load_newest(tmp_path / "last.ckpt") is None


def test_a_pickle_is_not_read(tmp_path):
    torch.save({"a": 1}, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError):
        load_newest(tmp_path / "last.ckpt")


def test_unknown_types_are_refused_and_leave_nothing(tmp_path):
    with pytest.raises(TypeError, match="set"):
        save_tree(tmp_path / "a.ckpt", {"x": {1, 2}})
    assert list(tmp_path.iterdir()) == []


def state(value: float) -> dict:
    return {"w": torch.full((2,), float(value)), "count": torch.tensor(int(value))}


def test_keeps_the_lowest_and_averages_them(tmp_path):
    best = BestCheckpoints(tmp_path, keep=2)
    kept = [
        best.offer(epoch, metric, state(epoch))
        for epoch, metric in ((1, 9.0), (2, 7.0), (3, 8.0), (4, 8.0), (5, 9.5))
    ]
    # epoch 4 ties with 3: the earlier one stays
    assert kept == [True, True, True, False, False]
    assert best.entries == [(7.0, 2), (8.0, 3)]
    mean = best.average()
    assert torch.equal(mean["w"], torch.tensor([2.5, 2.5]))
    assert mean["count"].item() == 2  # counters come from the best epoch


def test_files_that_two_checkpoints_name_survive(tmp_path):
    best = BestCheckpoints(tmp_path, keep=1)
    for epoch, metric in ((1, 3.0), (2, 2.0), (3, 1.0)):
        best.offer(epoch, metric, state(epoch))
        best.checkpoint_written()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "epoch_002.safetensors",
        "epoch_003.safetensors",
    ]
    again = BestCheckpoints(tmp_path, keep=1)
    again.load_state_dict(best.state_dict())
    assert again.entries == [(1.0, 3)] and again.average()["w"][0] == 3.0


def test_an_epoch_without_a_metric_is_the_worst(tmp_path):
    best = BestCheckpoints(tmp_path, 1)
    for epoch, metric in enumerate((float("nan"), 0.5, float("nan"), 0.4), 1):
        best.offer(epoch, metric, {"x": torch.tensor([float(epoch)])})
    assert best.state_dict() == [[0.4, 4]]
