"""The frozen teacher: awake never, trained never, stored never."""

import pytest
import torch
from tiny import random_model, tiny_config

from svmixer.models.config import FrontendConfig, StudentConfig
from svmixer.models.student import Student
from svmixer.models.teacher_encoder import normalise
from svmixer.teachers import Teacher, init_frontend_from_teacher

DROPPING = {
    "encoder_projection_dropout": 0.5,
    "encoder_attention_dropout": 0.5,
    "encoder_ff_interm_dropout": 0.5,
    "encoder_dropout": 0.5,
    "encoder_layer_drop": 0.5,
}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(3)


def teacher_of(**values):
    config = tiny_config(**values)
    return Teacher(random_model(config), config)


class Parent(torch.nn.Module):
    def __init__(self, teacher):
        super().__init__()
        self.own = torch.nn.Linear(2, 2)
        self.teacher = teacher


@pytest.mark.parametrize("family", ["wavlm", "hubert", "wav2vec2"])
def test_train_never_wakes_it(family):
    teacher = teacher_of(family=family, **DROPPING)
    parent = Parent(teacher)
    wave = torch.randn(2, 4000)
    expected = teacher.hidden_states(wave)
    parent.train()
    assert parent.own.training
    assert not teacher.training
    for _ in range(3):
        assert torch.equal(parent.teacher.hidden_states(wave), expected)
    assert not any(module.training for module in teacher.model.modules())


def test_it_is_no_part_of_its_parent():
    parent = Parent(teacher_of())
    assert set(parent.state_dict()) == {"own.weight", "own.bias"}
    assert [name for name, _ in parent.named_parameters()] == ["own.weight", "own.bias"]
    assert list(parent.teacher.buffers()) == []
    parent.load_state_dict(parent.state_dict(), strict=True)


def test_it_moves_with_its_parent():
    parent = Parent(teacher_of()).to(torch.float64)
    assert {p.dtype for p in parent.teacher.model.parameters()} == {torch.float64}
    assert parent.teacher.hidden_states(torch.randn(1, 4000).double()).dtype == torch.float64
    parent.to("meta")
    assert {p.device.type for p in parent.teacher.model.parameters()} == {"meta"}


def test_no_gradient():
    teacher = teacher_of()
    wave = torch.randn(1, 4000, requires_grad=True)
    states = teacher(wave)
    assert not states.requires_grad
    assert not any(p.requires_grad for p in teacher.model.parameters())
    target = torch.nn.Parameter(torch.zeros_like(states))
    (target - states).square().sum().backward()
    torch.testing.assert_close(target.grad, -2 * states)


def test_states_of_the_layers_below_equal_torchaudio():
    """``extract_features`` of torchaudio gives states 1 … L (without a final norm)."""
    teacher = teacher_of(encoder_layer_norm_first=True, extractor_mode="layer_norm")
    wave = torch.randn(2, 4000)
    with torch.no_grad():
        reference, _ = teacher.model.extract_features(wave)
    states = teacher.hidden_states(wave)
    torch.testing.assert_close(states[:, 1:], torch.stack(reference, dim=1))


def test_final_norm_changes_the_last_state_of_the_large_kind_only():
    wave = torch.randn(2, 4000)
    base, large = teacher_of(), teacher_of(encoder_layer_norm_first=True)
    assert torch.equal(base.hidden_states(wave, final_norm=True), base.hidden_states(wave))
    raw, normed = large.hidden_states(wave), large.hidden_states(wave, final_norm=True)
    assert torch.equal(raw[:, :-1], normed[:, :-1])
    torch.testing.assert_close(large.model.encoder.transformer.layer_norm(raw[:, -1]), normed[:, -1])


@pytest.mark.parametrize("norm_first", [False, True])
def test_some_states_alone(norm_first):
    """They are those of the whole stack, in the order asked for; higher layers are not computed."""
    wave = torch.randn(2, 4000)
    teacher = teacher_of(encoder_layer_norm_first=norm_first)
    everything = teacher.hidden_states(wave, final_norm=True)
    count = everything.shape[1]
    assert torch.equal(teacher.hidden_states(wave, True, (-1, 0)), everything[:, [count - 1, 0]])
    assert torch.equal(teacher.hidden_states(wave, True, (count - 1,)), everything[:, -1:])
    calls = []
    for number, layer in enumerate(teacher.model.encoder.transformer.layers, 1):
        layer.register_forward_hook(lambda *_, n=number: calls.append(n))
    assert torch.equal(teacher.hidden_states(wave, True, (1, 0)), everything[:, [1, 0]])
    assert calls == [1]
    with pytest.raises(ValueError, match=f"the teacher has {count - 1} layers, asked for layer {count}"):
        teacher.hidden_states(wave, layers=(1, count))


def test_each_waveform_is_scaled_on_its_own():
    wave = torch.tensor([[1.0, 2.0, 3.0], [10.0, 10.0, 10.0]])
    scaled = normalise(wave)
    torch.testing.assert_close(scaled[0], torch.tensor([-1.22474, 0.0, 1.22474]), atol=1e-4, rtol=0)
    assert scaled[1].tolist() == [0, 0, 0]
    teacher = teacher_of(normalise_waveform=True)
    first, second = torch.randn(1, 4000), 5 * torch.randn(1, 4000) + 1
    together = teacher.hidden_states(torch.cat([first, second]))
    torch.testing.assert_close(teacher.hidden_states(first)[0], together[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(teacher.hidden_states(3 * second - 2)[0], together[1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("shape", "message"), [((4000,), r"\(batch, samples\)"), ((1, 399), "at least 400 samples, found 399")]
)
def test_bad_input(shape, message):
    with pytest.raises(ValueError, match=message):
        teacher_of().hidden_states(torch.zeros(shape))


def student_of(teacher, hidden=24, channels=None):
    front = teacher.config.frontend
    front = FrontendConfig(channels or front.channels, front.kernels, front.strides, front.norm)
    return Student(StudentConfig(frontend=front, layers=1, hidden=hidden, window=4000, group_width=8))


@pytest.mark.parametrize("mode", ["group_norm", "layer_norm"])
def test_front_end_from_the_teacher(mode):
    """With the same shapes the student's state 0 is the teacher's projection of the same waveform."""
    teacher = teacher_of(extractor_mode=mode)
    student = student_of(teacher).eval()
    report = init_frontend_from_teacher(student, teacher)
    assert report.skipped == {}
    assert len(report.copied) == {"group_norm": 7 + 2 + 4, "layer_norm": 7 + 14 + 4}[mode]
    wave = 0.1 * torch.randn(2, 4000)
    with torch.no_grad():
        features, _ = teacher.model.feature_extractor(wave, None)
        expected = teacher.model.encoder.feature_projection(features)
        torch.testing.assert_close(student(wave)[:, 0], expected, atol=1e-5, rtol=1e-5)


def test_front_end_skips_what_does_not_fit():
    teacher = teacher_of(extractor_conv_bias=True)
    student = student_of(teacher, hidden=32, channels=(6, 8, 10, 8, 6, 8, 16))
    before = {key: value.clone() for key, value in student.state_dict().items()}
    report = init_frontend_from_teacher(student, teacher)
    after = student.state_dict()
    norm = {"conv_layers.0.layer_norm.weight", "conv_layers.0.layer_norm.bias"}
    assert set(report.copied) == norm | {f"conv_layers.{i}.conv.weight" for i in range(6)}
    assert report.skipped["feat_projection.projection.weight"] == "teacher (24, 12), student (32, 16)"
    assert report.skipped["conv_layers.3.conv.bias"] == "the student has no such tensor"
    changed = {key for key in after if not torch.equal(before[key], after[key])}
    assert changed == set(report.copied)


def test_front_end_of_another_norm():
    teacher = teacher_of(extractor_mode="group_norm")
    layered = FrontendConfig(teacher.config.frontend.channels, norm="layer_norm")
    student = Student(StudentConfig(frontend=layered, layers=1, hidden=24, window=4000, group_width=8))
    report = init_frontend_from_teacher(student, teacher)
    assert report.skipped["conv_layers.1.layer_norm.weight"] == "the teacher has no such tensor"
    assert "conv_layers.0.layer_norm.weight" in report.copied
