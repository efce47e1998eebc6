import torch

from svmixer.training.selection import BestModels


def state(value: float) -> dict:
    return {"w": torch.full((2,), float(value)), "count": torch.tensor(int(value))}


def test_keeps_the_lowest_and_averages_them(tmp_path):
    best = BestModels(tmp_path, keep=2)
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
    best = BestModels(tmp_path, keep=1)
    for epoch, metric in ((1, 3.0), (2, 2.0), (3, 1.0)):
        best.offer(epoch, metric, state(epoch))
        best.checkpoint_written()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "epoch_002.safetensors",
        "epoch_003.safetensors",
    ]
    again = BestModels(tmp_path, keep=1)
    again.load_state_dict(best.state_dict())
    assert again.entries == [(1.0, 3)] and again.average()["w"][0] == 3.0
