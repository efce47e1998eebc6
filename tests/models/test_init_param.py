"""Starting a model from parts of another."""

import dataclasses

import pytest
import torch
from random_weights import randomised
from torch import nn

from svmixer.models.io import InitParam, ModelError, init_param, save_model, save_tensors
from svmixer.models.speaker_model import SpeakerModel


@pytest.fixture
def other(toy_config, tmp_path):
    """A model of the same sizes with other weights, and its directory."""
    torch.manual_seed(99)
    model = randomised(SpeakerModel(toy_config))
    save_model(model, tmp_path / "other")
    return model


def part(model, prefix):
    return {key: value.clone() for key, value in model.state_dict().items() if key.startswith(prefix)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", InitParam("a")),
        ("a:student", InitParam("a", "student", "student")),
        ("a:student:encoder", InitParam("a", "student", "encoder")),
        ("a:::student.layers,backend", InitParam("a", "", "", ("student.layers", "backend"))),
        ("a:b:c:d", InitParam("a", "b", "c", ("d",))),
    ],
)
def test_notation(text, expected):
    assert InitParam.parse(text) == expected


@pytest.mark.parametrize("text", ["", ":student", "a:b:c:d:e"])
def test_bad_notation(text):
    with pytest.raises(ModelError, match=r"expected PATH\[:SRC"):
        InitParam.parse(text)


def test_student_alone(toy_model, other, tmp_path):
    before = part(toy_model, "backend.")
    report = init_param(toy_model, InitParam.parse(f"{tmp_path}/other:student"))
    for key, value in other.student.state_dict().items():
        assert torch.equal(toy_model.student.state_dict()[key], value)
    for key, value in before.items():
        assert torch.equal(toy_model.state_dict()[key], value)
    assert len(report.loaded) == len(other.student.state_dict())
    assert sorted(report.skipped) == sorted(before)
    assert report.mismatched == {}
    lines = report.lines()
    assert lines[0].startswith(f"loaded: {len(report.loaded)} tensors: student.conv_layers (")
    assert lines[1].startswith(f"skipped: {len(before)} tensors: backend.")
    assert "backend.w (1)" in lines[1] and "backend.conv2 (2)" in lines[1]
    assert lines[2:] == ["mismatched: 0 tensors"]


def test_everything_but_one_layer(toy_model, other, tmp_path):
    before = part(toy_model, "student.layers.1.")
    init_param(toy_model, InitParam.parse(f"{tmp_path}/other/model.safetensors:::student.layers.1"))
    for key, value in toy_model.state_dict().items():
        assert torch.equal(value, before.get(key, other.state_dict()[key]))


def test_a_prefix_is_whole_parts(tmp_path):
    """``layers.1`` does not take ``layers.10``."""
    save_tensors({"layers.1.w": torch.ones(2), "layers.10.w": torch.ones(2)}, tmp_path / "a.safetensors")
    module = nn.ModuleDict()
    for name in ("1", "10"):
        module[name] = nn.Module()
        module[name].w = nn.Parameter(torch.zeros(2))
    report = init_param(module, InitParam.parse(f"{tmp_path}/a.safetensors:layers.1:1"))
    assert report.loaded == ["1.w"] and report.skipped == ["layers.10.w"]
    assert module["1"].w.tolist() == [1, 1] and module["10"].w.tolist() == [0, 0]


def test_another_size_is_reported_and_left(toy_config, other, tmp_path):
    student = dataclasses.replace(toy_config.student, layers=3)
    model = randomised(SpeakerModel(dataclasses.replace(toy_config, student=student)))
    before = model.backend.w.detach().clone()
    report = init_param(model, InitParam.parse(f"{tmp_path}/other"))
    assert report.mismatched == {"backend.w": "(1, 3, 1, 1) in the file, (1, 4, 1, 1) here"}
    assert report.lines()[-1] == "  backend.w: (1, 3, 1, 1) in the file, (1, 4, 1, 1) here"
    assert torch.equal(model.backend.w, before)
    assert torch.equal(
        model.student.layers[1].token_mixing.norm.bias, other.student.layers[1].token_mixing.norm.bias
    )


def test_nothing_that_fits_is_an_error(toy_model, other, tmp_path):
    with pytest.raises(ModelError, match="nothing to load; loaded: 0 tensors; skipped"):
        init_param(toy_model, InitParam.parse(f"{tmp_path}/other:studnt"))
    with pytest.raises(ModelError, match="nowhere: not a readable safetensors file"):
        init_param(toy_model, InitParam.parse("nowhere"))
