"""A checkpoint of another model is refused in one line that names what differs and says what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from toy import write_dump

from svmixer.training.checkpoint import IncompatibleCheckpointError, check_compatible
from svmixer.training.schedule import PhaseConfig, make_optimizer

ROOT = Path(__file__).resolve().parents[2]
CKPT = Path("run/last.ckpt")


def checkpoint(module: nn.Module, kind: str = "adamw") -> tuple[dict, torch.optim.Optimizer]:
    """A checkpoint of a module whose optimiser trains what needs gradients, and that optimiser."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = make_optimizer(PhaseConfig(optimizer=kind), trained)
    return {"module": module.state_dict(), "optimizer": optimizer.state_dict()}, optimizer


def test_the_same_model_is_let_through():
    tree, optimizer = checkpoint(nn.Linear(3, 2))
    # As an earlier version of PyTorch wrote it.
    tree["optimizer"]["param_groups"][0].pop("foreach")
    check_compatible(tree, nn.Linear(3, 2), optimizer, CKPT)


def test_tensors_are_named_with_both_shapes():
    tree, _ = checkpoint(nn.Linear(3, 2))
    other = nn.Linear(4, 2, bias=False)
    with pytest.raises(IncompatibleCheckpointError) as error:
        check_compatible(tree, other, checkpoint(other)[1], CKPT)
    assert str(error.value) == (
        "run/last.ckpt: the model has changed (old → new): weight ((2, 3) → (2, 4)), bias ((2,) → none)"
    )
    many = nn.Sequential(*(nn.Linear(1, 1) for _ in range(3)))
    with pytest.raises(
        IncompatibleCheckpointError,
        match=r"weight \(none → \(1, 1\)\), .*1\.bias \(none → \(1,\)\) and 4 more$",
    ):
        check_compatible(tree, many, checkpoint(many)[1], CKPT)


def test_another_optimiser_is_refused():
    module = nn.Linear(3, 2)
    tree, _ = checkpoint(module)
    with pytest.raises(
        IncompatibleCheckpointError, match=r"^run/last\.ckpt: another optimiser than SGD was at work$"
    ):
        check_compatible(tree, module, checkpoint(module, "sgd")[1], CKPT)
    module.bias.requires_grad_(False)
    with pytest.raises(IncompatibleCheckpointError, match=r"2 tensors were trained, now it would be 1$"):
        check_compatible(tree, module, checkpoint(module)[1], CKPT)


def train(toy: Path, output: Path, module: str, *more: str) -> subprocess.CompletedProcess:
    words = ["--config", toy / "config.yaml", "--output_dir", output, "--loop.max_epochs", "1"]
    return subprocess.run(
        [sys.executable, "-m", "svmixer", module, *words, "--device.threads", "1", *more],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def refusal(*run) -> str:
    done = train(*run)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    return done.stderr.splitlines()[-1]


END = "This training cannot be continued: use another --tag (--output_dir), or --force true to start over"
OTHERWISE = f"; no option has changed, but the data, the teacher or the code. {END}"


@pytest.mark.slow
def test_a_backend_of_another_size(toy, tmp_path):
    run = (toy, tmp_path / "run", "train")
    assert train(*run).returncode == 0
    other = ("--model.backend.embedding", "6")
    message = refusal(*run, *other, "--loop.allow_changes", "true")
    assert message.startswith(f"error: {tmp_path}/run/last.ckpt: the model has changed (old → new): model.")
    assert " ((8, 48) → (6, 48)), " in message
    assert message.endswith(f"; options that changed: model.backend.embedding (8 → 6). {END}")
    # What did not work is not taken for the training's options.
    assert train(*run).returncode == 0
    # Without the file that says what they were, no option is known to have changed.
    (tmp_path / "run/config.yaml").unlink()
    message = refusal(*run, *other)
    assert " ((8, 48) → (6, 48)), " in message and message.endswith(OTHERWISE)


@pytest.mark.slow
def test_a_student_of_another_size_in_stage_3(toy, tmp_path):
    run = (toy, tmp_path / "run", "distill")
    assert train(*run).returncode == 0
    message = refusal(*run, "--model.student.layers", "1", "--loop.allow_changes", "true")
    assert "(old → new): student.layers.1." in message and " → none) and " in message
    assert message.endswith(f"; options that changed: model.student.layers (2 → 1). {END}")


@pytest.mark.slow
def test_other_speakers_under_the_same_name_and_damage(toy, tmp_path):
    write_dump(tmp_path / "train", speakers=4, utterances=6)
    run = (toy, tmp_path / "run", "train", "--data.train", str(tmp_path / "train"))
    assert train(*run).returncode == 0
    shutil.rmtree(tmp_path / "train")
    write_dump(tmp_path / "train", speakers=5, utterances=6)
    message = refusal(*run)
    # With the two speeds of each.
    assert "(old → new): speaker." in message and "((8, 8) → (10, 8))" in message
    assert message.endswith(OTHERWISE)
    for path in (tmp_path / "run").glob("last.ckpt*"):
        path.write_bytes(b"")
    assert "last.ckpt: no readable checkpoint among " in refusal(*run)
