"""The student: its states, its dropout, its gradients."""

import dataclasses

import pytest
import torch

from svmixer.config import ConfigError
from svmixer.models.config import StudentConfig
from svmixer.models.registry import Registry
from svmixer.models.student import Student
from svmixer.models.students import ENCODER_LAYERS


@pytest.fixture
def student(toy_model):
    return toy_model.student


def test_states(student):
    """State 0 is the projection's output, then the layers' outputs, the last one normalised."""
    outputs = []
    student.feat_projection.register_forward_hook(lambda m, i, out: outputs.append(out))
    for layer in student.layers:
        layer.register_forward_hook(lambda m, i, out: outputs.append(out))
    states = student(torch.randn(3, 8000))
    assert states.shape == (3, 3, 24, 32)
    torch.testing.assert_close(states[:, 0], outputs[0])
    torch.testing.assert_close(states[:, 1], outputs[1])
    torch.testing.assert_close(states[:, 2], student.layer_norm(outputs[2]))


def test_batch_equals_single(student):
    wave = torch.randn(4, 8000)
    together = student(wave)
    for index in range(4):
        torch.testing.assert_close(student(wave[index : index + 1])[0], together[index], atol=1e-5, rtol=1e-5)


def test_dropout_stands_where_it_should(student):
    rates = {
        name: module.p for name, module in student.named_modules() if isinstance(module, torch.nn.Dropout)
    }
    assert rates == {
        "feat_projection.dropout": 0.1,
        "layers.0.token_mixing.dropout": 0.1,
        "layers.0.channel_mixing.dropout": 0.1,
        "layers.1.token_mixing.dropout": 0.1,
        "layers.1.channel_mixing.dropout": 0.0,
    }


def test_dropout_acts_in_training_only(student):
    wave = torch.randn(2, 8000)
    torch.testing.assert_close(student(wave), student(wave), atol=0, rtol=0)
    student.train()
    first, second = student(wave), student(wave)
    assert all((first[:, i] != second[:, i]).any() for i in range(3))


@pytest.mark.parametrize("wave", [torch.zeros(2, 8000), torch.randn(2, 8000)], ids=["silence", "noise"])
def test_gradients_are_finite(toy_model, wave):
    toy_model.train()
    toy_model(wave).square().sum().backward()
    for name, parameter in toy_model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_bfloat16_autocast(toy_model):
    wave = 0.1 * torch.randn(4, 8000)
    with torch.no_grad():
        expected = toy_model(wave)
    with torch.autocast("cpu", torch.bfloat16):
        result = toy_model(wave)
        loss = result.float().square().sum()
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in toy_model.parameters())
    assert torch.nn.functional.cosine_similarity(result.float(), expected).min() > 0.995


def test_every_parameter_learns(toy_model):
    toy_model.train()
    target = torch.randn(4, 12)
    (toy_model(torch.randn(4, 8000)) - target).square().sum().backward()
    silent = [name for name, p in toy_model.named_parameters() if p.grad.abs().max() == 0]
    assert silent == []


def test_another_length_is_refused(student):
    with pytest.raises(ValueError, match=r"8000 samples \(24 frames\), found shape \(2, 9000\)"):
        student(torch.randn(2, 9000))
    with pytest.raises(ValueError, match="found shape"):
        student(torch.randn(8000))


def test_unknown_encoder_names_the_nearest():
    config = dataclasses.replace(StudentConfig(), encoder="svmixr")
    with pytest.raises(ConfigError, match="unknown encoder 'svmixr'; did you mean 'svmixer'"):
        Student(config)


def test_registry_refuses_a_second_builder():
    assert "svmixer" in ENCODER_LAYERS.builders
    registry = Registry("thing")
    registry.register("a")(int)
    with pytest.raises(ValueError, match="thing 'a' is registered twice"):
        registry.register("a")(float)
    assert registry["a"] is int


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden": 100}, "not a multiple of group_width"),
        ({"layers": 0}, "layers must be at least 1"),
        ({"dropout": 1.0}, "dropout"),
        (
            {"encoder": "transformer", "mixing": ("lgm",)},
            "mixing is read by encoder svmixer alone, not by transformer",
        ),
        ({"window": 700}, r"less than two frames; it takes 720 samples"),
    ],
)
def test_bad_configurations_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        StudentConfig(**values)
