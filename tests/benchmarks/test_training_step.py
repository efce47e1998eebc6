"""The plain form of a training step has the losses and gradients of the training's own."""

import sys
from pathlib import Path

import pytest
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import training_forms
import training_step


@pytest.mark.parametrize("stage", ["distill", "train"])
def test_both_forms_have_the_same_losses_and_gradients(tmp_path, stage):
    training_forms.write_data(tmp_path, utterances=20)
    task = training_forms.TASKS[stage](training_forms.configuration(tmp_path, 1, 4, cached=False))
    batch = next(iter(DataLoader(task.train_set, batch_sampler=[[(1, number) for number in range(4)]])))
    found = training_forms.differences(task, batch)
    assert found["loss"] <= 1e-5 and found["gradient"] <= 1e-5
    # A wrong layer would be seen.
    plain = training_forms.plain_module(task)
    states = training_forms.plain_teacher(task, batch["clean"])
    right = plain(batch, states)["distill"].item()
    plain.distill.layers = (2, 3)
    assert abs(plain(batch, states)["distill"].item() - right) > 1e-3


def test_memory_settings_are_those_of_the_stages():
    settings = training_step.memory_settings()
    assert settings["MALLOC_MMAP_MAX_"] == "0" and len(settings) == 3
