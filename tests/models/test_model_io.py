"""Model directories."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

import svmixer
from svmixer.config import ConfigError
from svmixer.inference import embedding_model
from svmixer.models.io import ModelError, load_model, read_speakers, save_model


@pytest.fixture
def directory(toy_model, tmp_path):
    save_model(toy_model, tmp_path / "model", ["id1", "id2"])
    return tmp_path / "model"


def test_round_trip_is_bit_equal(toy_model, directory):
    loaded = svmixer.load_model(directory)
    assert loaded.config == toy_model.config
    assert not loaded.training
    state = loaded.state_dict()
    assert state.keys() == toy_model.state_dict().keys()
    assert all(torch.equal(value, state[key]) for key, value in toy_model.state_dict().items())
    assert sorted(path.name for path in directory.iterdir()) == [
        "config.yaml",
        "model.safetensors",
        "speakers.txt",
    ]
    assert read_speakers(directory) == ["id1", "id2"]


def test_speakers_are_optional(toy_model, tmp_path):
    save_model(toy_model, tmp_path)
    assert read_speakers(tmp_path) == []


def test_models_of_the_package_load_by_name(directory, monkeypatch):
    monkeypatch.setattr(embedding_model, "ASSETS", directory.parent)
    assert load_model("model").window == 8000
    # What svmixer package_model puts beside it marks what is listed as a model.
    (directory / "export.json").touch()
    with pytest.raises(ModelError, match=r"modell: no such model directory \(names: model\)"):
        load_model("modell")


@pytest.mark.parametrize("name", ["config.yaml", "model.safetensors"])
def test_a_missing_file_is_named(directory, name):
    (directory / name).unlink()
    with pytest.raises(ModelError, match=f"model: no model directory: {name} is missing"):
        load_model(directory)


def test_damaged_weights(directory):
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ModelError, match=r"model\.safetensors: not a readable safetensors file"):
        load_model(directory)


def test_every_key_is_used_exactly_once(directory):
    path = directory / "model.safetensors"
    tensors = load_file(path)
    tensors["student.extra"] = tensors.pop("student.layer_norm.weight")
    tensors["backend.fc6.bias"] = torch.zeros(5)
    save_file(tensors, path)
    with pytest.raises(ModelError) as raised:
        load_model(directory)
    message = str(raised.value)
    assert "missing student.layer_norm.weight" in message
    assert "unexpected student.extra" in message
    assert "backend.fc6.bias has shape (5,), the configuration says (12,)" in message


def test_many_differences_are_counted(directory):
    save_file({"w": torch.zeros(1)}, directory / "model.safetensors")
    with pytest.raises(ModelError, match=r"missing .*; missing .*; missing .* and \d+ more"):
        load_model(directory)


def test_an_unknown_key_in_the_configuration_is_refused(directory):
    path = directory / "config.yaml"
    path.write_text(path.read_text().replace("hidden:", "hiden:"))
    with pytest.raises(ConfigError, match=r"unknown key 'student\.hiden'; did you mean 'hidden'"):
        load_model(directory)


@pytest.mark.slow
def test_importing_the_package_loads_no_torch():
    code = (
        "import sys, svmixer, svmixer.models.config; "
        "assert svmixer.__version__; assert 'torch' not in sys.modules; "
        "assert callable(svmixer.load_model); assert 'torch' in sys.modules; "
        "assert not {'torchaudio', 'transformers', 'lightning_fabric', 'espnet2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_attributes_stay_errors():
    with pytest.raises(AttributeError, match="has no attribute 'load_modle'"):
        svmixer.load_modle  # noqa: B018
