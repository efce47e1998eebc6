import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from svmixer.config import ConfigError, load
from svmixer.distributed.config import DeviceConfig
from svmixer.distributed.device import make_fabric
from svmixer.lists import ListError
from svmixer.models.io import ModelError, load_model, save_model, save_tensors
from svmixer.models.student import Student
from svmixer.training.config import TrainConfig
from svmixer.training.distill import HEADS, DistillTask
from svmixer.training.speaker import SpeakerTask, initialise_student


def distilled(toy, folder):
    task = DistillTask(load(TrainConfig, toy / "config.yaml"))
    with torch.no_grad():
        for parameter in task.module.parameters():
            parameter.add_(0.01)
    state = {name: value.clone() for name, value in task.module.state_dict().items()}
    task.finish(state, folder)
    return state


def test_stage_4_goes_on_with_student_and_heads_of_stage_3(toy, tmp_path):
    state = distilled(toy, tmp_path)
    path = str(tmp_path / "student.safetensors")
    task = SpeakerTask(load(TrainConfig, toy / "config.yaml", {"init_student": path}))
    for name, value in task.model.student.state_dict().items():
        assert torch.equal(value, state[f"student.{name}"])
    for name, value in task.module.distill.state_dict().items():
        assert torch.equal(value, state[f"distill.{name}"])
    assert set(load_file(tmp_path / HEADS)) == set(task.module.distill.state_dict())


def test_init_param_in_both_stages(toy, tmp_path):
    source = SpeakerTask(load(TrainConfig, toy / "config.yaml", {"loop.seed": "5"})).model
    save_model(source, tmp_path / "source")
    for task_class, attribute in ((SpeakerTask, "model"), (DistillTask, "module")):
        overrides = {"init_param": f"['{tmp_path}/source:student.layers']"}
        own = getattr(task_class(load(TrainConfig, toy / "config.yaml", overrides)), attribute).state_dict()
        for name, value in source.student.layers.state_dict().items():
            assert torch.equal(own[f"student.layers.{name}"], value)
        other = "student.layer_norm.weight"
        assert torch.equal(own[other], torch.ones_like(own[other]))


def test_heads_for_other_layers_start_anew(toy, tmp_path):
    distilled(toy, tmp_path)
    overrides = {"init_student": str(tmp_path / "student.safetensors"), "distill.layers": "[2]"}
    task = SpeakerTask(load(TrainConfig, toy / "config.yaml", overrides))
    again = SpeakerTask(load(TrainConfig, toy / "config.yaml", {"distill.layers": "[2]"}))
    for name, value in task.module.distill.state_dict().items():
        assert torch.equal(value, again.module.distill.state_dict()[name])


def test_the_teacher_is_outside_the_trained_module(toy):
    task = SpeakerTask(load(TrainConfig, toy / "config.yaml"))
    names = list(task.module.state_dict())
    assert not any("teacher" in name for name in names)
    task.module.train()
    assert not any(module.training for module in task.teacher.model.modules())
    batch = {"clean": torch.randn(2, 8000)}
    states = task.prepare(batch)["teacher"]
    assert states.shape == (2, 2, 24, 12) and not states.requires_grad
    everything = task.teacher.hidden_states(batch["clean"], final_norm=True)
    assert torch.equal(states, everything[:, 1:])


@pytest.mark.parametrize("task", [SpeakerTask, DistillTask])
def test_layers_that_the_teacher_has_not_got(toy, task):
    with pytest.raises(ValueError, match="the teacher has 2 layers, asked for layer 3"):
        task(load(TrainConfig, toy / "config.yaml", {"distill.layers": "[1, 3]"}))


def test_a_frozen_front_end_stays_as_the_teachers(toy):
    task = SpeakerTask(load(TrainConfig, toy / "config.yaml", {"freeze_frontend": "true"}))
    assert not any(p.requires_grad for p in task.model.student.conv_layers.parameters())
    own = task.model.student.state_dict()
    for name, value in task.teacher.frontend_state_dict().items():
        if name.startswith("conv_layers"):
            assert torch.equal(own[name], value.float())


def test_without_a_teacher_there_is_the_speaker_loss_alone(toy):
    overrides = {"teacher": "", "frontend_from_teacher": "false"}
    task = SpeakerTask(load(TrainConfig, toy / "config.yaml", overrides))
    assert task.teacher is None and task.module.distill is None
    batch = {"noisy": torch.randn(2, 8000), "label": torch.tensor([0, 3])}
    loss, stats = task.module(task.prepare(batch))
    assert loss.item() == stats["speaker"].item() and "distill" not in stats


def test_the_whitening_is_fitted_by_validation_and_again_for_the_final_model(toy, tmp_path):
    task = SpeakerTask(load(TrainConfig, toy / "config.yaml"))
    fabric = make_fabric(DeviceConfig(threads=1), "32-true")
    eye = task.model.whitening.matrix.clone()
    task.validate(fabric, task.module)
    fitted = task.model.whitening.matrix.clone()
    assert torch.equal(eye, torch.eye(8)) and not torch.equal(fitted, eye)
    # The same weights have the same whitening: it is not fitted again.
    task.model.whitening.mean.zero_()
    task.whitener.fit()
    assert not task.model.whitening.mean.any()
    # The averaged weights are others: what was fitted before does not go with them.
    state = {name: value.clone() for name, value in task.module.state_dict().items()}
    state["model.backend.fc6.weight"] *= 2.0
    task.finish(state, tmp_path)
    model = load_model(tmp_path / "model")
    assert not torch.equal(model.whitening.matrix, fitted)
    # Crops of training speakers, as they were drawn for it: scatter within speakers of about one each way.
    items = [(0, index) for index in range(len(task.train_set))]
    drawn = [task.train_set[item] for item in items]
    with torch.no_grad():
        embeddings = model(torch.stack([item["noisy"] for item in drawn]))
    labels = torch.stack([item["label"] for item in drawn])
    spread = torch.cat([embeddings[labels == k] - embeddings[labels == k].mean(0) for k in labels.unique()])
    assert 0.3 < spread.square().sum().item() / (len(drawn) - len(labels.unique())) / 8 < 3.0


def test_statistics_beside_the_embedding_are_whitened_for_validation_and_the_final_model(toy, tmp_path):
    more = {"model.whiten": "false", "model.statistics": "{share: 0.4, states: [0, 1], covariance: 2}"}
    task = SpeakerTask(load(TrainConfig, toy / "config.yaml", more))
    size = task.config.model.embedding_size
    assert size == 8 + 4 * task.config.model.student.hidden + 3
    metrics = task.validate(make_fabric(DeviceConfig(threads=1), "32-true"), task.module)
    assert 0.0 <= metrics["valid_eer"] <= 100.0
    matrix = task.model.statistics.whitening.matrix.clone()
    assert not torch.equal(matrix, torch.eye(size - 8))
    # Nothing in them is trained.
    assert not any("statistics" in name for name, _ in task.module.named_parameters())
    task.finish(task.module.state_dict(), tmp_path)
    model = load_model(tmp_path / "model")
    assert torch.equal(model.statistics.whitening.matrix, matrix)
    assert model.embed(np.random.default_rng(0).standard_normal(9000).astype(np.float32)).shape == (size,)


def test_the_whitening_takes_as_many_crops_as_are_asked_for(toy, monkeypatch):
    # More than one pass over the data has.
    task = SpeakerTask(
        load(TrainConfig, toy / "config.yaml", {"whiten.crops": "200", "whiten.balance": "0.5"})
    )
    assert len(task.train_set) < 200
    seen = []
    monkeypatch.setattr(task.model.whitening, "fit", lambda x, labels, shrinkage: seen.append((x, labels)))
    task.validate(make_fabric(DeviceConfig(threads=1), "32-true"), task.module)
    ((x, labels),) = seen
    assert len(x) == len(labels) == 200
    # An item that comes again is another crop of it, though one may hit upon the same place.
    assert len(x.unique(dim=0)) > 190


def test_without_whitening_there_is_none(toy, tmp_path):
    task = SpeakerTask(load(TrainConfig, toy / "config.yaml", {"model.whiten": "false"}))
    task.finish(task.module.state_dict(), tmp_path)
    assert load_model(tmp_path / "model").whitening is None


def test_a_student_starts_from_the_lower_layers_of_a_deeper_one(toy, tmp_path):
    config = load(TrainConfig, toy / "config.yaml")
    deep = Student(replace(config.model.student, layers=3))
    save_tensors(deep.state_dict(), tmp_path / "student.safetensors")
    shallow = Student(replace(config.model.student, layers=2))
    initialise_student(shallow, tmp_path / "student.safetensors")
    wave = torch.randn(2, config.model.student.window)
    deep.eval(), shallow.eval()
    with torch.no_grad():
        found, expected = shallow.states(wave), deep.states(wave)
    for index in (0, 1):
        assert torch.equal(found[index], expected[index])
    # Behind the last layer is the norm.
    torch.testing.assert_close(found[2], deep.layer_norm(expected[2]))
    # The other way round there is nothing to start the further layers from.
    save_tensors(shallow.state_dict(), tmp_path / "shallow.safetensors")
    with pytest.raises(ModelError, match=r"shallow.safetensors: .*missing layers\.2\."):
        initialise_student(deep, tmp_path / "shallow.safetensors")


def test_session_pairs_come_from_the_list_beside_the_dump(toy, tmp_path):
    shutil.copytree(toy / "train", tmp_path / "train")
    names = [line.split()[0] for line in (tmp_path / "train/utt2spk").read_text().splitlines()]
    (tmp_path / "train/utt2session").write_text("".join(f"{name} {int(name[-1]) % 2}\n" for name in names))
    more = {"data.session_pairs": "true", "data.train": str(tmp_path / "train")}
    task = SpeakerTask(load(TrainConfig, toy / "config.yaml", more))
    expected = [int(name[-1]) % 2 for name in names]
    # At both speeds.
    assert task.sessions().tolist() == 2 * expected
    (tmp_path / "train/utt2session").write_text(f"{names[0]} 0\n")
    with pytest.raises(ListError, match=f"{names[1]}.*no session"):
        task.sessions()
    assert SpeakerTask(load(TrainConfig, toy / "config.yaml")).sessions() is None
    with pytest.raises(ConfigError, match=r"loop\.batch_size: 3 utterances are no session_pairs"):
        load(TrainConfig, toy / "config.yaml", {"data.session_pairs": "true", "loop.batch_size": "3"})


def test_spectrum_masks_are_laid_over_the_student_s_bands_in_both_stages(toy):
    frontend = "{channels: [20], kernels: [400], strides: [320], norm: layer_norm, first_layer: log_mel}"
    more = {
        "model.student.frontend": frontend, "frontend_from_teacher": "false", "model.student.layers": "1",
        "spectrum_masks": "{count: 2, bands: 4, frames: 5}", "teacher": "", "distill.layers": "[1]",
    }  # fmt: skip
    task = SpeakerTask(load(TrainConfig, toy / "config.yaml", more))
    masks = task.model.student.conv_layers[0].masks
    assert (masks.count, masks.bands, masks.frames) == (2, 4, 5)
    with pytest.raises(ConfigError, match="spectrum_masks: the student's front end has no log-mel bands"):
        load(TrainConfig, toy / "config.yaml", {"spectrum_masks.count": "1"})
