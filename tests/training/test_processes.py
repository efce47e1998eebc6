"""One process and two that share the same batches: equal where nothing draws per process or mixes rows."""

import copy
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file
from test_resume import command, finish

from svmixer.config import load
from svmixer.training.config import TrainConfig
from svmixer.training.distill import DistillTask
from svmixer.training.speaker import SpeakerTask

ROOT = Path(__file__).resolve().parents[2]
STEPS = 12
TWO = ("--device.processes", "2", "--loop.batch_size", "2")


def write(toy: Path, path: Path, backend: str) -> None:
    """The toy configuration with batches in two parts and weighted classes; no dropout."""
    config = copy.deepcopy(yaml.safe_load((toy / "config.yaml").read_text()))
    for name in ("max_epochs", "lr", "schedule"):
        del config["loop"][name]
    phase = {"optimizer": "sgd", "lr": 0.01, "final_lr": 0.01, "steps": STEPS}
    config["loop"].update(epoch_steps=STEPS, accumulate=2, workers=0, phases=[phase])
    config["model"]["backend"] = {"embedding": 8, "name": backend}
    config["model"]["student"]["dropout"] = 0.0
    config["speaker"] = {"class_weights": True}
    path.write_text(yaml.safe_dump(config))


def train(config: Path, toy: Path, output: Path, stage: str, *more: str) -> str:
    errors = finish(command(toy, output, stage, "--config", str(config), "--device.threads", "1", *more))
    assert re.search(rf"step {STEPS}/{STEPS} ", errors)
    return errors


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "task"), [("train", SpeakerTask), ("distill", DistillTask)])
def test_two_processes_give_the_parameters_of_one(toy, tmp_path, stage, task):
    """Augmentation, accumulation, class weights and distillation included."""
    config = tmp_path / "config.yaml"
    write(toy, config, "linear")
    options = load(TrainConfig, config)
    assert options.augment.prob > 0
    module = task(options).module
    begun = {name: value.detach().clone() for name, value in module.named_parameters()}
    assert "batch normalisation" not in train(config, toy, tmp_path / "one", stage)
    assert "batch normalisation" not in train(config, toy, tmp_path / "two", stage, *TWO)
    one, two = (load_file(tmp_path / name / "best/epoch_001.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys() == module.state_dict().keys()
    apart = {name: (two[name].double() - one[name].double()).abs().max().item() for name in one}
    # The whitening is fitted to embeddings that are apart by rounding, too.
    assert max(most for name, most in apart.items() if ".whitening." not in name) < 1e-5, apart
    # The parameters went much further than they may differ.
    assert max((one[name] - start).abs().max().item() for name, start in begun.items()) > 1e-3


@pytest.mark.slow
def test_two_processes_on_cpus_say_once_that_batch_statistics_are_their_own(toy, tmp_path):
    config = tmp_path / "config.yaml"
    write(toy, config, "statistics")
    said = "batch normalisation: on CPUs every process takes the statistics of its own rows"
    assert said not in train(config, toy, tmp_path / "one", "train")
    assert train(config, toy, tmp_path / "two", "train", *TWO).count(said) == 1


# What two processes check together: the gradients of losses whose rows do not weigh alike.
SCRIPT = """
import torch, torch.distributed as dist
from torch import nn
from toy import CONV
from svmixer.losses.aam import AAMSoftmax
from svmixer.losses.config import EmbeddingDistillConfig
from svmixer.losses.distillation import EmbeddingDistill
from svmixer.models.teacher_config import TeacherConfig
from svmixer.training.batch_norm import share_statistics
from svmixer.training.pretrain import MaskedPrediction

dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
own = slice(rank, None, world)
torch.set_default_dtype(torch.float64)

class Fabric:
    world_size = world

class Embeddings(EmbeddingDistill):
    def forward(self, batch):
        return super().forward(batch["x"], batch["target"]), {}

class Speaker(AAMSoftmax):
    def forward(self, batch):
        return super().forward(batch["x"], batch["label"])

def gradients(module, batch):
    module.zero_grad()
    loss, _ = module(batch)
    loss.backward()
    return loss.detach(), [p.grad.clone() for p in module.parameters() if p.grad is not None]

tiny = TeacherConfig(
    extractor_conv_layer_config=tuple(map(tuple, CONV)), encoder_embed_dim=12, encoder_pos_conv_kernel=8,
    encoder_pos_conv_groups=2, encoder_num_layers=1, encoder_num_heads=2, encoder_ff_interm_features=16,
)
torch.manual_seed(0)
mask = torch.rand(4, 24) < torch.linspace(0.2, 0.8, 4)[:, None]
cases = [
    (Speaker(5, 4, class_weights=torch.tensor([1.0, 2.0, 3.0, 4.0])),
     {"x": torch.randn(8, 5), "label": torch.tensor([0, 1, 0, 2, 3, 3, 0, 1])}, 1e-12),
    (MaskedPrediction(tiny, 5, unmasked_weight=0.5),
     {"wave": torch.randn(4, 8000), "target": torch.randint(5, (4, 24)), "mask": mask}, 1e-6),
]
# Only one process has rows with a target.
target = torch.randn(8, 3)
target[1::2] = 0
# Its arithmetic is in float32, whatever it is given.
embeddings = Embeddings(EmbeddingDistillConfig(scp="x"), 5, 3).float()
cases.append((embeddings, {"x": torch.randn(8, 5), "target": target}, 1e-6))
for module, batch, most in cases:
    whole = {name: value.clone() for name, value in batch.items()}
    # The whole batch in every process: all weigh alike, as in one process.
    loss, wanted = gradients(module, whole)
    parallel = nn.parallel.DistributedDataParallel(module)
    part, found = gradients(parallel, {name: value[own].clone() for name, value in batch.items()})
    dist.all_reduce(part)
    torch.testing.assert_close(part / world, loss, rtol=0, atol=most)
    for one, two in zip(wanted, found, strict=True):
        torch.testing.assert_close(two, one, rtol=0, atol=most)

norm = nn.BatchNorm1d(3)
norm(torch.randn(8, 3) + rank)
first = norm.running_mean.clone()
dist.broadcast(first, 0)
assert torch.equal(first, norm.running_mean) == (rank == 0)
share_statistics(norm, Fabric)
assert torch.equal(first, norm.running_mean)
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_gradients_of_weighted_losses_are_those_of_the_whole_batch(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    result = subprocess.run(
        [
            sys.executable, "-m", "svmixer", "launch", "--processes", "2", "--folder", str(tmp_path), "--",
            sys.executable, str(script),
        ],
        env={
            **os.environ, "OMP_NUM_THREADS": "1",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}",
        },
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
