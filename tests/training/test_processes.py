"""A training gives the same parameters with one process and with two that share the same global batch."""

import copy
import re
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from test_resume import command, finish
from torch.utils.data import DataLoader

from svmixer.config import load
from svmixer.distributed.global_batch import GlobalBatch
from svmixer.training.tasks import SpeakerTask, TrainConfig


def write(toy: Path, path: Path, backend: dict, phase: dict, steps: int) -> None:
    """The toy configuration with batches in two parts and weighted classes."""
    config = copy.deepcopy(yaml.safe_load((toy / "config.yaml").read_text()))
    for name in ("max_epochs", "lr", "schedule"):
        del config["loop"][name]
    config["loop"].update(epoch_steps=steps, accumulate=2, workers=0, phases=[{**phase, "steps": steps}])
    config["model"]["backend"] = {"embedding": 8, **backend}
    # The whitening, a function of all embeddings, is no parameter; it is fitted at the end of the epoch.
    config["model"]["whiten"] = False
    config["speaker"] = {"class_weights": True}
    path.write_text(yaml.safe_dump(config))


def trained(config: Path, toy: Path, output: Path, steps: int, *more: str) -> dict[str, torch.Tensor]:
    errors = finish(command(toy, output, "train", "--config", str(config), "--device.threads", "1", *more))
    assert re.search(rf"step {steps}/{steps} ", errors)
    return load_file(output / "best/epoch_001.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "phase", "steps", "shifts"),
    [
        (
            {"ecapa": {"channels": 8, "attention_channels": 4, "se_bottleneck": 4, "scale": 2}},
            {"optimizer": "sgd", "lr": 1e-4, "final_lr": 1e-4},
            # Rounding grows with every step through so many batch normalisations: on a processor with AVX-512
            # it is 3e-6 after five steps and 1e-4 after ten.
            5,
            set(),
        ),
        (
            {"name": "statistics"},
            {"optimizer": "adamw", "lr": 1e-3, "final_lr": 1e-3},
            20,
            {"model.student.layer_norm.bias", "model.backend.norm.running_mean"},
        ),
    ],
    ids=["ecapa-sgd", "statistics-adamw"],
)
def test_two_processes_give_the_parameters_of_one(toy, tmp_path, backend, phase, steps, shifts):
    """Dropout, augmentation, batch normalisation, accumulation and class weights included.

    ``shifts`` are parameters that only add what a batch normalisation takes out again: their gradients are
    zero but for rounding, and AdamW scales any gradient to whole steps. They may differ; the loss may not.
    """
    config = tmp_path / "config.yaml"
    write(toy, config, backend, phase, steps)
    options = load(TrainConfig, config)
    assert options.model.student.dropout > 0 and options.augment.prob > 0
    task = SpeakerTask(options)
    begun = {name: value.detach().clone() for name, value in task.module.named_parameters()}
    one = trained(config, toy, tmp_path / "one", steps)
    two = trained(config, toy, tmp_path / "two", steps, "--device.processes", "2", "--loop.batch_size", "2")
    assert one.keys() == two.keys() == task.module.state_dict().keys()
    apart = {name: (two[name].double() - one[name].double()).abs().max().item() for name in one}
    assert {name for name, most in apart.items() if most > 1e-5} <= shifts, apart
    # The parameters went much further than they may differ.
    assert max((one[name] - start).abs().max().item() for name, start in begun.items()) > 1e-3
    assert loss(task, two) == pytest.approx(loss(task, one), rel=1e-5)


def loss(task: SpeakerTask, state: dict[str, torch.Tensor]) -> float:
    """Training loss of the first eight items."""
    loader = DataLoader(task.dataset(), batch_sampler=[[(1, index) for index in range(8)]])
    task.module.load_state_dict(state)
    task.module.train()
    with GlobalBatch((0,), 8):
        return task.module(task.prepare(next(iter(loader))))[0].item()
