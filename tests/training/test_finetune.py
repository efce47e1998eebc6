"""A teacher as a system: its layers' learning rates, its training, and what can be done with the result."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import torch
from test_resume import assert_same, command, finish, stop_at

import svmixer
from svmixer.config import load
from svmixer.export.check import run_windows
from svmixer.export.graph import write_graph
from svmixer.inference.embedding_model import ModelError
from svmixer.models.config import BackendConfig, ModelConfig, StudentConfig
from svmixer.models.costs import model_rows
from svmixer.models.speaker_model import SpeakerModel
from svmixer.models.teacher_config import TeacherConfig
from svmixer.training.config import TrainConfig
from svmixer.training.finetune import FinetuneConfig, group_lr, layer_groups
from svmixer.training.speaker import SpeakerTask

INSTEAD = ("--teacher", "", "--frontend_from_teacher", "false")


def options(toy, *more: str) -> list[str]:
    """Of a fine-tuning of the toy teacher, in which a layer joins every half epoch."""
    finetune = ("--finetune.teacher", str(toy / "teacher"), "--finetune.lr_decay", "0.5")
    return [*INSTEAD, *finetune, "--finetune.unfreeze_epochs", "0.5", *more]


@pytest.fixture(scope="module")
def tuned(toy, tmp_path_factory):
    """A finished fine-tuning."""
    folder = tmp_path_factory.mktemp("tuned")
    finish(command(toy, folder, "train", *options(toy)))
    return folder


def test_groups_by_depth():
    teacher = TeacherConfig(
        encoder_embed_dim=12, encoder_num_heads=2, encoder_num_layers=2, encoder_pos_conv_groups=2,
        encoder_ff_interm_features=16, extractor_conv_layer_config=((4, 10, 5), (4, 8, 4)),
    )  # fmt: skip
    config = ModelConfig(
        StudentConfig(window=8000), BackendConfig("statistics", embedding=8), teacher=teacher
    )
    model = SpeakerModel(config)
    model.student.conv_layers.requires_grad_(False)
    groups = layer_groups(model, model, FinetuneConfig(lr_decay=0.5, unfreeze_epochs=2.0))
    assert [(group["lr_share"], group["from_epoch"]) for group in groups] == [
        (1.0, 0.0), (0.5, 2.0), (0.25, 4.0), (0.125, 6.0),
    ]  # fmt: skip
    backend, last, first, below = ([id(parameter) for parameter in group["params"]] for group in groups)
    assert backend == [id(parameter) for parameter in model.backend.parameters()]
    assert last == [id(parameter) for parameter in model.student.layers[1].parameters()]
    assert first == [id(parameter) for parameter in model.student.layers[0].parameters()]
    projection = model.student.encoder.feature_projection.parameters()
    assert {id(parameter) for parameter in projection} <= set(below)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert len(backend + last + first + below) == len(trained)


def test_a_group_s_learning_rate_is_0_until_its_epoch():
    group = {"lr_share": 0.25, "from_epoch": 1.5}
    assert [group_lr(group, 0.01, epochs) for epochs in (0.0, 1.4, 1.5, 3.0)] == [0.0, 0.0, 0.0025, 0.0025]
    assert group_lr({}, 0.01, 0.0) == 0.01


@pytest.mark.slow
def test_layers_that_have_not_joined_stay_as_they_are(toy, tmp_path):
    one_epoch = ("--loop.max_epochs", "1", "--finetune.unfreeze_epochs", "0.4", "--loop.keep_best", "1")
    finish(command(toy, tmp_path, "train", *options(toy, *one_epoch)))
    before = svmixer.load_teacher(toy / "teacher").model.state_dict()
    after = svmixer.load_model(tmp_path / "model").student.state_dict()
    assert before.keys() == after.keys()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    # Two layers have joined, after 0.4 and 0.8 epochs; what is below would at 1.2.
    assert all(name.startswith("encoder.transformer.layers.") for name in moved)
    assert {name.split(".")[3] for name in moved} == {"0", "1"}


@pytest.mark.slow
def test_it_is_a_system_and_a_teacher(tuned):
    model, teacher = svmixer.load_model(tuned / "model"), svmixer.load_teacher(tuned / "model")
    assert teacher.config == model.config.teacher and model.config.hidden == 12
    wave = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(teacher.hidden_states(wave, final_norm=True), model.hidden_states(wave))
    assert model.embed(wave[0].numpy(), 16000).shape == (8,)
    # Longer than a window: the frames of one pass, window by window.
    assert model.hidden_states(torch.randn(1, 20000)).shape[2] == model.config.frontend.num_frames(20000)
    rows = {row["name"]: row["params"] for row in model_rows(model.config)}
    assert rows["wavlm"] == sum(value.numel() for value in teacher.model.state_dict().values())


@pytest.mark.slow
def test_it_is_exported(tuned, tmp_path):
    model = svmixer.load_model(tuned / "model")
    write_graph(model, tmp_path / "model.onnx")
    windows = 0.1 * np.random.default_rng(0).standard_normal((3, 8000)).astype(np.float32)
    found = run_windows(tmp_path / "model.onnx", windows)
    np.testing.assert_allclose(found, model.embed_windows(windows), atol=1e-4)


@pytest.mark.slow
def test_a_student_learns_from_it(toy, tuned, tmp_path):
    finish(command(toy, tmp_path, "distill", "--teacher", str(tuned / "model")))
    assert (tmp_path / "student.safetensors").exists()


@pytest.mark.slow
def test_a_student_is_no_teacher(toy, tmp_path):
    finish(command(toy, tmp_path, "train", *INSTEAD, "--loop.max_epochs", "0"))
    with pytest.raises(ModelError, match="which is no teacher; its embeddings can be targets"):
        svmixer.load_teacher(tmp_path / "model")


@pytest.mark.slow
def test_a_killed_one_ends_in_the_same_bits(toy, tuned, tmp_path):
    arguments = command(toy, tmp_path, "train", *options(toy))
    assert stop_at(arguments, 2, 3, signal.SIGKILL) != 0
    assert "resumed at epoch" in finish(arguments)
    assert_same(tuned, tmp_path)


def test_what_stands_in_its_place_is_refused(toy):
    changes = {"finetune.teacher": str(toy / "teacher"), "teacher": "", "frontend_from_teacher": "false"}
    assert load(TrainConfig, toy / "config.yaml", changes).finetune.lr_decay == 1.0
    for name, value in (("teacher", "x"), ("init_student", "x"), ("frontend_from_teacher", "true")):
        with pytest.raises(ValueError, match=f"{name}: not beside finetune.teacher"):
            load(TrainConfig, toy / "config.yaml", {**changes, name: value})
    with pytest.raises(ValueError, match="lr_decay: at most 1, found 2"):
        load(TrainConfig, toy / "config.yaml", {**changes, "finetune.lr_decay": "2"})


def test_without_decay_it_is_one_learning_rate(toy, tmp_path):
    changes = {"finetune.teacher": str(toy / "teacher"), "teacher": "", "frontend_from_teacher": "false"}
    task = SpeakerTask(load(TrainConfig, toy / "config.yaml", changes))
    groups = task.parameter_groups()
    assert {(group["lr_share"], group["from_epoch"]) for group in groups} == {(1.0, 0.0)}
    assert sum(len(group["params"]) for group in groups) == len(list(task.module.parameters()))
