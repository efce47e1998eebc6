"""Every training configuration of the repository builds and takes one optimiser step on toy data."""

from pathlib import Path

import pytest
import torch
import toy as toy_data
import yaml
from torch.utils.data import DataLoader

from svmixer.config import load, to_dict
from svmixer.distributed.device import make_fabric
from svmixer.losses.config import AAMConfig
from svmixer.models.config import ModelConfig
from svmixer.training.config import LoopConfig, PretrainConfig, TrainConfig
from svmixer.training.distill import DistillTask
from svmixer.training.loop import Loop
from svmixer.training.pretrain import PretrainTask
from svmixer.training.schedule import PhaseConfig
from svmixer.training.speaker import SpeakerTask

ROOT = Path(__file__).parents[2]
# ESPnet's own trainer reads conf/espnet; tests/espnet trains with it. An adaptation takes no step:
# test_adapt.py.
PATHS = sorted(
    path
    for path in [*ROOT.glob("conf/**/train*.yaml"), *ROOT.glob("egs/*/sv1/conf/**/train*.yaml")]
    if path.parent.name != "espnet" and path.name != "train_adapt.yaml"
)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Two speakers for training and validation, recordings for the augmentation, a teacher of 24 layers."""
    folder = tmp_path_factory.mktemp("configs")
    for name in ("train", "valid", "sounds"):
        toy_data.write_dump(folder / name, speakers=2, utterances=2, seconds=3.2, seed=1)
    toy_data.write_teacher(folder / "teacher", layers=24)
    return folder


def overrides(path, folder):
    """Toy data in place of the recipe's, two utterances a batch; nothing else of the file changes."""
    sources = [
        {**source, "path": str(folder / "sounds")} if source["path"] else source
        for source in to_dict(load(TrainConfig, path).augment)["sources"]
    ]
    return {
        "data.train": str(folder / "train"), "data.valid": str(folder / "valid"),
        "teacher": str(folder / "teacher"), "loop.batch_size": "2", "loop.accumulate": "1",
        "loop.workers": "0", "device.threads": "1", "augment.sources": yaml.safe_dump(sources),
    }  # fmt: skip


def one_step(loop, task):
    before = {name: value.clone() for name, value in task.module.named_parameters()}
    batch = next(iter(DataLoader(task.dataset(), batch_sampler=loop.plan.batches(0, 1))))
    loop._backward(batch, part=0)
    metrics = loop.metrics.fetch(1, 1)
    # At the rate of a later step: that of the first may be 0.
    for group in loop.optimizer.param_groups:
        group["lr"] = loop.schedule.lr(10)
    loop.optimizer.step()
    assert 0 < metrics["loss"] < float("inf")
    still = [name for name, value in task.module.named_parameters() if torch.equal(value, before[name])]
    # A penalty on a class that has no sample in the batch, and frozen parts, may rest; most must move.
    assert len(still) < 0.2 * len(before), still


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(ROOT)))
def test_one_step(path, small, tmp_path):
    config = load(TrainConfig, path, overrides(path, small))
    task = (DistillTask if "distill" in path.stem else SpeakerTask)(config)
    loop = Loop(make_fabric(config.device, "32-true"), config.loop, task, tmp_path)
    one_step(loop, task)


def test_there_are_configurations():
    places = {path.parent.relative_to(ROOT).as_posix() for path in PATHS}
    assert {"conf", "conf/paper", "conf/released", "egs/voxceleb/sv1/conf", "egs/TEMPLATE/sv1/conf"} <= places


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("egs/*/sv1/conf/pretrain*.yaml")), ids=lambda path: path.stem
)
def test_one_step_of_pretraining(path, small, tmp_path):
    changed = {
        "train": str(small / "train"), "valid": str(small / "valid"), "output_dir": str(tmp_path),
        "loop.batch_size": "2", "loop.workers": "0", "device.threads": "1",
    }  # fmt: skip
    config = load(PretrainConfig, path, changed)
    task = PretrainTask(config)
    loop = Loop(make_fabric(config.device, "32-true"), config.loop, task, tmp_path)
    one_step(loop, task)


def test_another_rate_than_that_of_dumps_is_refused():
    with pytest.raises(ValueError, match=r"model\.sample_rate: dumped speech has 16000 Hz, found 8000"):
        TrainConfig(model=ModelConfig(sample_rate=8000))


def test_a_margin_that_phases_never_reach_is_refused():
    phases = (PhaseConfig(steps=20),)
    with pytest.raises(ValueError, match=r"margin_epochs: 50 epochs never come, the training has 2"):
        TrainConfig(
            speaker=AAMConfig(margin_epochs=(0.0, 50.0)), loop=LoopConfig(phases=phases, epoch_steps=10)
        )
