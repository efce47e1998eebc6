"""A finished model adapted to other speakers: a whitening behind its embedding, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_resume import command, finish
from toy import write_dump

from svmixer.cli.info import model_info
from svmixer.config import ConfigError, load
from svmixer.distributed.config import DeviceConfig
from svmixer.distributed.device import make_fabric
from svmixer.export.check import run_windows
from svmixer.export.graph import write_graph
from svmixer.models.config import WhitenedStatisticsConfig
from svmixer.models.io import ModelError, load_model, save_model
from svmixer.models.speaker_model import SpeakerModel
from svmixer.models.whitening import Whitening
from svmixer.training.config import TrainConfig
from svmixer.training.speaker import SpeakerTask

ROOT = Path(__file__).parents[2]
INSTEAD = {"teacher": "", "frontend_from_teacher": "false", "loop.max_epochs": "0", "whiten.shrinkage": "0.5"}


@pytest.fixture
def source(toy, tmp_path):
    """The directory of a model with whitened statistics beside its embedding, all of them random."""
    config = load(TrainConfig, toy / "config.yaml").model
    torch.manual_seed(1)
    statistics = WhitenedStatisticsConfig(share=0.4, states=(0, 1))
    model = SpeakerModel(replace(config, whiten=False, statistics=statistics))
    model.statistics.whitening.matrix.copy_(torch.randn_like(model.statistics.whitening.matrix))
    # As rounding to 16 bits leaves small numbers.
    model.student.state_dict()["layer_norm.bias"][0] = -0.0
    save_model(model, tmp_path / "a/finished/model", ["x", "y"])
    return tmp_path / "a/finished/model"


def adapting(toy, source, **more: str) -> SpeakerTask:
    return SpeakerTask(load(TrainConfig, toy / "config.yaml", {**INSTEAD, "adapt": str(source), **more}))


def test_nothing_but_the_whitening_behind_it_is_new(toy, source, tmp_path, monkeypatch):
    task, before = adapting(toy, source), load_model(source)
    assert task.model.config == replace(before.config, adapted_from="a/finished/model")
    task.validate(make_fabric(DeviceConfig(threads=1), "32-true"), task.module)
    fitted = task.model.adaptation.matrix.clone()
    # An average of epochs; nothing has changed, so it is not fitted again.
    state = {name: value.clone() + 0 for name, value in task.module.state_dict().items()}
    monkeypatch.setattr(Whitening, "fit", lambda *given: pytest.fail("fitted again"))
    task.finish(state, tmp_path / "new")
    monkeypatch.undo()
    after = load_model(tmp_path / "new/model")
    for name, value in before.state_dict().items():
        assert torch.equal(after.state_dict()[name], value), name
    assert model_info(str(tmp_path / "new/model"))["adapted_from"] == "a/finished/model"
    assert model_info(str(source))["adapted_from"] is None
    new = set(after.state_dict()) - set(before.state_dict())
    assert new == {"adaptation.mean", "adaptation.matrix"}
    assert torch.equal(after.adaptation.matrix, fitted)
    # By hand, on the crops that it was fitted on.
    drawn = [task.train_set[item] for item in task.whitener._items()]
    with torch.no_grad():
        rows = F.normalize(before.eval()(torch.stack([item["noisy"] for item in drawn])))
    expected = Whitening(rows.shape[1])
    expected.fit(rows, torch.stack([item["label"] for item in drawn]), 0.5)
    torch.testing.assert_close(after.adaptation.matrix, expected.matrix, rtol=1e-3, atol=1e-3)
    wave = 0.1 * torch.randn(2, 8000)
    with torch.no_grad():
        by_hand = (F.normalize(before(wave)) - after.adaptation.mean) @ after.adaptation.matrix
        torch.testing.assert_close(after.eval()(wave), by_hand, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_fewer_recordings_than_a_batch_has(toy, source, tmp_path):
    """No step is taken, so none has to be filled."""
    more = ("--adapt", str(source), "--loop.batch_size", "1000", "--whiten.crops", "20")
    words = [word for key, value in INSTEAD.items() for word in (f"--{key}", value)]
    finish(command(toy, tmp_path / "out", "train", *words, *more))
    assert load_model(tmp_path / "out/model").config.adapted_from == "a/finished/model"


@pytest.mark.slow
def test_a_graph_of_it(toy, source, tmp_path):
    task = adapting(toy, source)
    task.whitener.fit()
    write_graph(task.model, tmp_path / "model.onnx")
    windows = 0.1 * np.random.default_rng(0).standard_normal((3, 8000)).astype(np.float32)
    found = run_windows(tmp_path / "model.onnx", windows)
    np.testing.assert_allclose(found, task.model.embed_windows(windows), rtol=1e-3, atol=1e-3)


def test_once_alone(toy, source, tmp_path):
    adapted = SpeakerModel(replace(load_model(source).config, adapted_from="x"))
    save_model(adapted, tmp_path / "adapted", [])
    with pytest.raises(ModelError, match="is adapted already; name the model that it was made from"):
        adapting(toy, tmp_path / "adapted")
    with pytest.raises(ModelError, match="no such model"):
        adapting(toy, tmp_path / "nothing")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"loop.max_epochs": "2"}, "adapt: trains nothing: loop.max_epochs is 0 then"),
        ({"teacher": "wavlm_tiny"}, "teacher: not beside adapt"),
        ({"init_student": "a.safetensors"}, "init_student: not beside adapt"),
        ({"init_param": "[a]"}, "init_param: not beside adapt"),
        ({"embeddings.scp": "a.scp"}, "adapt: trains nothing, neither a teacher"),
    ],
)
def test_what_does_not_go_with_it(toy, source, more, message):
    with pytest.raises(ConfigError, match=message):
        adapting(toy, source, **more)


@pytest.mark.slow
def test_the_configuration_that_comes_with_the_project(tmp_path):
    for name in ("train", "valid"):
        write_dump(tmp_path / name, speakers=3, utterances=3, seconds=3.2, seed=1)
    sets = {"data.train": str(tmp_path / "train"), "data.valid": str(tmp_path / "valid")}
    few = {"whiten.crops": "18", "loop.workers": "0"}
    task = SpeakerTask(load(TrainConfig, ROOT / "conf/train_adapt.yaml", sets | few))
    assert task.model.config == replace(load_model("pocket2").config, adapted_from="pocket2")
    metrics = task.validate(make_fabric(DeviceConfig(threads=1), "32-true"), task.module)
    assert metrics["valid_eer"] < 10.0
    assert not torch.equal(task.model.adaptation.matrix, torch.eye(task.config.model.embedding_size))
