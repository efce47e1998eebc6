"""Large-margin fine-tuning: a stage 4 that goes on from another, with longer crops and fewer classes."""

import pytest
import torch
import torch.nn.functional as F

from svmixer.config import ConfigError, load
from svmixer.models.io import ModelError, load_model, read_speakers
from svmixer.training.config import TrainConfig
from svmixer.training.speaker import LOSSES, SpeakerTask

ALONE = {"teacher": "", "frontend_from_teacher": "false"}


@pytest.fixture(scope="module")
def first(toy, tmp_path_factory):
    """Directory of a stage 4 with a teacher and two speeds, and the state that it ended with."""
    folder = tmp_path_factory.mktemp("first")
    task = SpeakerTask(load(TrainConfig, toy / "config.yaml", {"loop.seed": "3"}))
    state = {name: value.clone() for name, value in task.module.state_dict().items()}
    task.finish(state, folder)
    return folder, state


def second(toy, folder, **more):
    changed = {"init_model": str(folder), "data.speeds": "[1.0]", **ALONE, **more}
    return SpeakerTask(load(TrainConfig, toy / "config.yaml", changed))


def test_model_and_centres_go_on(toy, first):
    folder, state = first
    assert read_speakers(folder / "model")[:5] == ["s00#sp0.9", "s01#sp0.9", "s02#sp0.9", "s03#sp0.9", "s00"]
    task = second(toy, folder)
    for name, value in task.model.state_dict().items():
        assert name.startswith("whitening.") or torch.equal(value, state[f"model.{name}"]), name
    # Of the eight classes the four that are left: those of the speed 1.
    assert torch.equal(task.module.speaker.weight, state["speaker.weight"][4:])


def test_speakers_that_the_first_training_had_not_start_anew(toy, first):
    folder, state = first
    task = second(toy, folder, **{"data.speeds": "[1.1, 1.0]"})
    fresh = SpeakerTask(load(TrainConfig, toy / "config.yaml", {"data.speeds": "[1.1, 1.0]", **ALONE}))
    assert torch.equal(task.module.speaker.weight[:4], fresh.module.speaker.weight[:4])
    assert torch.equal(task.module.speaker.weight[4:], state["speaker.weight"][4:])


def test_heads_go_on_beside_a_teacher(toy, first):
    folder, state = first
    task = second(toy, folder, teacher=str(toy / "teacher"))
    for name, value in task.module.distill.state_dict().items():
        assert torch.equal(value, state[f"distill.{name}"])


def test_a_crop_of_two_windows_is_scored_as_two_windows_are(toy, first):
    """The loss is that of the mean of the windows' embeddings of unit length."""
    folder, _ = first
    task = second(toy, folder, **{"data.windows": "2", "speaker.margin": "0.5", "speaker.top_k_mode": "none"})
    items = [task.train_set[0, index] for index in (0, 7, 13)]
    batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
    assert batch["noisy"].shape == (3, 16000)
    task.module.eval()
    loss, metrics = task.module(task.prepare(batch))
    model = load_model(folder / "model")
    model.whitening = None
    with torch.no_grad():
        windows = torch.stack([model(batch["noisy"][:, :8000]), model(batch["noisy"][:, 8000:])])
    cosine = F.linear(
        F.normalize(F.normalize(windows, dim=-1).mean(0)), F.normalize(task.module.speaker.weight)
    )
    own = F.one_hot(batch["label"], 4).bool()
    expected = F.cross_entropy(30 * torch.where(own, (cosine.acos() + 0.5).cos(), cosine), batch["label"])
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert "margin" not in metrics
    # The distillation of both windows, where there is a teacher.
    both = second(toy, folder, teacher=str(toy / "teacher"), **{"data.windows": "2"})
    prepared = both.prepare(batch)
    assert prepared["noisy"].shape == (6, 8000) and prepared["teacher"].shape[:2] == (6, 2)
    states = both.teacher.hidden_states(batch["clean"][1, 8000:][None], True, (1, 2))
    assert torch.allclose(prepared["teacher"][3], states[0], atol=1e-5)
    assert both.module(prepared)[0].isfinite()


def test_the_whitening_is_fitted_on_windows(toy, first, monkeypatch):
    task = second(toy, first[0], **{"data.windows": "2", "whiten.crops": "5"})
    seen = []
    monkeypatch.setattr(task.model.whitening, "fit", lambda x, labels, shrinkage: seen.append((x, labels)))
    task.whitener.fit()
    ((embeddings, labels),) = seen
    assert len(embeddings) == 10 and torch.equal(labels[::2], labels[1::2])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"init_student": "a", "init_model": "b"}, "init_model: not beside init_student"),
        (
            {"speaker.margin_epochs": "[2, 4]"},
            "speaker.margin_epochs: 4 epochs never come, the training has 3",
        ),
        ({"data.windows": "0"}, "windows: must be at least 1"),
        ({"data.windows": "2", "teacher_cache.dir": "x"}, "teacher_cache: has states of single windows"),
    ],
)
def test_options_that_do_not_go_together(toy, changed, message):
    with pytest.raises(ConfigError, match=message):
        load(TrainConfig, toy / "config.yaml", changed)


def test_a_first_training_that_does_not_fit(toy, first, tmp_path):
    folder, _ = first
    with pytest.raises(ModelError, match=r"missing layers\.2\."):
        second(toy, folder, **{"model.student.layers": "3"})
    with pytest.raises(ModelError, match=r"model\.safetensors: not a readable safetensors file"):
        second(toy, tmp_path)
    (tmp_path / "model").symlink_to(folder / "model")
    with pytest.raises(ModelError, match=f"{LOSSES}: not a readable safetensors file"):
        second(toy, tmp_path)
