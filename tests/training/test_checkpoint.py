import math

import pytest
import torch

from svmixer.training.checkpoint import CheckpointError, load_newest, load_tree, rotate, save_tree


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
