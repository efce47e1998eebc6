"""Devices that are asked for and not there: one line from every place that takes one."""

from __future__ import annotations

import pytest
import torch

import svmixer
from svmixer.cli.main import run_program
from svmixer.devices import DeviceError, count_gpus, find_device


@pytest.fixture(params=[0, 1, 2])
def gpus(request, monkeypatch) -> int:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: request.param)
    return request.param


@pytest.fixture
def no_gpu(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


def test_devices_that_are_there():
    assert find_device("cpu") == torch.device("cpu")
    assert find_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "GPU", "CPU", "", "cuda:", "cuda:-1", "cuda:x", "cpu,cuda", None])
def test_names_of_no_device(name):
    with pytest.raises(DeviceError, match=r"is none; there are cpu, cuda, cuda:1 …"):
        find_device(name)


@pytest.mark.parametrize("name", ["meta", "vulkan"])
def test_devices_that_compute_nothing_here(name):
    with pytest.raises(DeviceError, match=f"'{name}' cannot be used here; device cpu works everywhere"):
        find_device(name)


def test_gpus_by_number(gpus):
    for index, name in enumerate(("cuda", "cuda:1", "cuda:2")):
        if index < gpus:
            assert find_device(name) == torch.device(name)
        else:
            message = f"GPUs of this machine: {['', 'one, cuda:0', '2, cuda:0 to cuda:1'][gpus]}"
            with pytest.raises(DeviceError, match=message if gpus else "no GPU can be used here"):
                find_device(name)


def test_counting(gpus):
    if gpus == 2:
        assert count_gpus(2, "do without") == count_gpus(1, "do without") == 2
        return
    reason = "this machine has one, cuda:0; do without" if gpus else "no GPU can be used here .*; do without"
    with pytest.raises(DeviceError, match=reason):
        count_gpus(2, "do without")


@pytest.mark.parametrize("name", ["gpu", "cuda", "cuda:7"])
def test_models_and_teachers(name, no_gpu):
    """Before their files are looked for."""
    for load in (svmixer.load_model, svmixer.load_teacher):
        with pytest.raises(DeviceError):
            load("nowhere", name)


def test_a_training_on_gpus(no_gpu, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        run_program("train", ["--output_dir", str(tmp_path / "exp"), "--device.ngpu", "4"])
    assert stop.value.code == 1
    error = capsys.readouterr().err
    assert "no GPU can be used here" in error
    assert "--ngpu 0" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "exp").exists()
