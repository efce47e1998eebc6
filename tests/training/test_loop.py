"""The training loop on a task of one number: what it does with a step's metrics."""

import json
import re

import numpy as np
import pytest
import torch
from torch import nn

from svmixer.cli.main import run_program
from svmixer.distributed.config import DeviceConfig
from svmixer.distributed.device import make_fabric
from svmixer.errors import SvmixerError
from svmixer.training.config import LoopConfig
from svmixer.training.loop import Loop
from svmixer.training.task import trained_group


class Items(torch.utils.data.Dataset):
    def __getitem__(self, item):
        return {"x": torch.tensor(float(item[1]))}


class Mean(nn.Module):
    """The loss is the mean of the batch's items, plus a weight that is 0; an item over ``most`` makes NaN."""

    def __init__(self, most):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.most = most

    def forward(self, batch):
        mean = batch["x"].mean() + 0.0 * self.weight.sum()
        figure = mean.detach() if batch["x"].max() <= self.most else torch.tensor(float("nan"))
        return mean, {"figure": figure}


class Task:
    metric = "valid"

    def __init__(self, items, most=1e9):
        self.items, self.module = items, Mean(most)

    def dataset(self):
        return Items()

    def speakers(self):
        return np.arange(self.items)

    def balance(self):
        return 0.0

    def sessions(self):
        return None

    def parameter_groups(self):
        return trained_group(self.module)

    def setup(self, fabric):
        pass

    def prepare(self, batch):
        return batch

    def validate(self, fabric, module):
        return {"valid": 1.0}

    def finish(self, state, output_dir):
        pass


def loop(task, folder, **options):
    config = LoopConfig(batch_size=2, max_epochs=1, workers=0, **options)
    return Loop(make_fabric(DeviceConfig(threads=1), "32-true"), config, task, folder)


def test_metrics_are_means_over_batches_and_steps(tmp_path):
    """Eight items in two steps of two batches: 0 + … + 7 over 8; fetched every step or at the end alike."""
    for name, log_every in (("each", 1), ("end", 100)):
        running = loop(Task(8), tmp_path / name, accumulate=2, log_every=log_every)
        running._train_epoch()
        assert running.step == 2
        assert {key: value / 2 for key, value in running.metrics.sums.items()} == {"loss": 3.5, "figure": 3.5}
        assert running.metrics.fetch(1, 2) == {}


@pytest.mark.parametrize("log_every", [1, 100])
def test_a_metric_that_is_not_finite_ends_the_training_and_nothing_is_saved_after_it(tmp_path, log_every):
    running = loop(Task(12, most=10.5), tmp_path, log_every=log_every, save_every=1)
    batches = running.plan.batches(0, 6)
    bad = next(number for number, batch in enumerate(batches, 1) if 11 in [item for _, item in batch])
    with pytest.raises(SvmixerError, match=rf"not finite at epoch 1, step {bad}: figure nan; lower loop\.lr"):
        running._train_epoch()
    again = loop(Task(12), tmp_path)
    again._resume()
    assert again.total == bad - 1


def test_a_training_that_diverges_ends_with_a_line_and_status_1(toy, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        run_program("train", ["--config", f"{toy}/config.yaml", "--output_dir", str(tmp_path / "run"),
                              "--loop.lr", "1e15", "--loop.clip", "0", "--device.threads", "1"])  # fmt: skip
    assert stopped.value.code == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and re.match(r"error: not finite at epoch 1, step \d+: loss nan", errors[0])


def test_without_epochs_the_model_is_validated_and_written_as_it_starts(tmp_path):
    for _ in range(2):  # the second finds that it is done
        task, written = Task(8), []
        task.finish = lambda state, folder, written=written: written.append(state)
        config = LoopConfig(batch_size=2, max_epochs=0, workers=0)
        Loop(make_fabric(DeviceConfig(threads=1), "32-true"), config, task, tmp_path).run()
        assert [state["weight"].item() for state in written] == [0.0]
    (record,) = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert record == {"step": 0, "epoch": 1, "valid": 1.0}
