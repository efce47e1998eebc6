"""Parameters, operations and names of the paper's models, to the unit."""

from pathlib import Path

import pytest
import torch

from svmixer import config as configuration
from svmixer.models.config import BackendConfig, ModelConfig, StudentConfig
from svmixer.models.costs import OperationCounter, measure
from svmixer.models.speaker_model import SpeakerModel

CONF = Path(__file__).parents[2] / "conf"
H, T = 1024, 149


def build(layers):
    preset = {5: "small", 17: "large"}[layers]
    student = configuration.load(StudentConfig, CONF / f"student/svmixer_{preset}.yaml")
    backend = configuration.load(BackendConfig, CONF / "backend/ecapa.yaml")
    with torch.device("meta"):
        return SpeakerModel(ModelConfig(student, backend))


def meta(*shape):
    return torch.empty(*shape, device="meta")


@pytest.mark.parametrize(("layers", "student", "backend"), [(5, 23458677, 9578566), (17, 68410305, 9578578)])
def test_parameters_of_the_paper(layers, student, backend):
    model = build(layers)
    assert sum(p.numel() for p in model.student.parameters()) == student
    assert sum(p.numel() for p in model.backend.parameters()) == backend
    assert {sum(p.numel() for p in layer.parameters()) for layer in model.student.layers} == {3745969}


def layer_macs():
    """(weights + biases) × positions of every Linear and Conv of one SV-Mixer layer, written out."""
    time = H * (T * 4 * T + 4 * T) + H * (4 * T * T + T)
    local = T * (7 * H + H) + T * (3 * H + H)
    branch = (4 * H * 128 + 4 * H) + (H * 512 + H)
    return time + local + branch * T + branch * (T // 2) + T * (H * 128 * 3 + H) + T * (H * H + H)


def front_macs():
    total, samples, channels = 0, 48000, 1
    for kernel, stride in zip((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), strict=True):
        samples = (samples - kernel) // stride + 1
        total += samples * 512 * channels * kernel
        channels = 512
    return total + T * (512 * H + H)


@pytest.mark.parametrize(("layers", "student", "system"), [(5, "10.61", "11.89"), (17, "18.22", "19.50")])
def test_macs_of_the_paper(layers, student, system):
    model = build(layers)
    wave = meta(1, 48000)
    cost = measure(model.student, wave)
    assert cost.macs == front_macs() + layers * layer_macs()
    backend = measure(model.backend, meta(1, layers + 1, T, H))
    whole = measure(model, wave)
    assert whole.macs == cost.macs + backend.macs
    assert f"{cost.macs / 1e9:.2f}" == student
    assert f"{backend.macs / 1e9:.2f}" == "1.28"
    assert f"{whole.macs / 1e9:.2f}" == system


def test_macs_of_the_parts():
    assert f"{layer_macs() / 1e9:.2f}" == "0.63"
    assert f"{front_macs() / 1e9:.2f}" == "7.44"
    assert measure(build(5).student.layers[0], meta(1, T, H)).macs == layer_macs()


def test_full_count_of_a_small_module():
    """3 × (4 → 5): 60 MACs in the product, the bias within it; one operation for each of 15 ReLU outputs."""
    module = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU())
    cost = measure(module, torch.randn(3, 4))
    assert (cost.params, cost.macs, cost.operations) == (25, 3 * 25, 60 + 15)
    with torch.no_grad(), OperationCounter() as counter:
        torch.randn(2, 6).transpose(0, 1).reshape(3, 4)[:2].unsqueeze(0)
    assert counter.total == 12, "drawing 12 numbers computes, moving them does not"


def test_measure_leaves_the_mode_alone():
    module = torch.nn.Linear(2, 2).train()
    measure(module, torch.randn(1, 2))
    assert module.training
    assert not module._forward_hooks


def test_names_of_the_released_student():
    shapes = {key: tuple(value.shape) for key, value in build(17).student.state_dict().items()}
    expected = {"conv_layers.0.conv.weight": (512, 1, 10)}
    for index, kernel in enumerate((3, 3, 3, 3, 2, 2), start=1):
        expected[f"conv_layers.{index}.conv.weight"] = (512, 512, kernel)
    pairs = {
        "conv_layers.0.layer_norm": (512,),
        "feat_projection.layer_norm": (512,),
        "feat_projection.projection": (1024, 512),
        "layer_norm": (1024,),
    }
    for index in range(17):
        token, channel = f"layers.{index}.token_mixing", f"layers.{index}.channel_mixing"
        pairs |= {
            f"{token}.norm": (1024,),
            f"{token}.local_mix1": (1024, 1, 7),
            f"{token}.local_mix2": (1024, 1, 3),
            f"{token}.linear1": (596, 149),
            f"{token}.linear2": (149, 596),
            f"{channel}.norm1": (1024,),
            f"{channel}.fc1": (4096, 128, 1),
            f"{channel}.fc2": (1024, 512, 1),
            f"{channel}.fc3": (4096, 128, 1),
            f"{channel}.fc4": (1024, 512, 1),
            f"{channel}.fc5": (1024, 128, 3),
            f"{channel}.fc6": (1024, 1024, 1),
        }
    for name, shape in pairs.items():
        expected |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    assert shapes == expected


def test_names_of_the_released_backend():
    state = build(17).backend.state_dict()
    shapes = {key: tuple(value.shape) for key, value in state.items() if "num_batches" not in key}
    pairs = {
        "conv2": (512, 1024, 5),
        "layer4": (1536, 1536, 1),
        "attention.0": (256, 4608, 1),
        "attention.4": (1536, 256, 1),
        "fc6": (192, 3072),
    }
    norms = {"bn2": 512, "attention.2": 256, "bn5": 3072, "bn6": 192}
    for index in (1, 2, 3):
        layer = f"layer{index}"
        pairs |= {f"{layer}.conv1": (512, 512, 1), f"{layer}.conv3": (512, 512, 1)}
        pairs |= {f"{layer}.se.se.1": (128, 512, 1), f"{layer}.se.se.3": (512, 128, 1)}
        norms |= {f"{layer}.bn1": 512, f"{layer}.bn3": 512}
        for part in range(3):
            pairs[f"{layer}.convs.{part}"] = (128, 128, 3)
            norms[f"{layer}.bns.{part}"] = 128
    expected = {"w": (1, 18, 1, 1)}
    for name, shape in pairs.items():
        expected |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name, size in norms.items():
        expected |= {f"{name}.{key}": (size,) for key in ("weight", "bias", "running_mean", "running_var")}
    assert shapes == expected


@pytest.mark.parametrize("path", sorted(CONF.glob("student/*.yaml")), ids=lambda path: path.stem)
def test_every_student_preset_builds(path):
    config = configuration.load(StudentConfig, path)
    with torch.device("meta"):
        model = SpeakerModel(ModelConfig(student=config))
        states = model.student(meta(2, config.window))
    assert states.shape == (2, config.layers + 1, config.frames, config.hidden)


@pytest.mark.parametrize("path", sorted(CONF.glob("backend/*.yaml")), ids=lambda path: path.stem)
def test_every_backend_preset_builds(path):
    config = configuration.load(BackendConfig, path)
    with torch.device("meta"):
        # The size of moments is that of svmixer_light, which they are for.
        size = {"layers": 4, "hidden": 192, "group_width": 64} if config.statistics.states else {"layers": 1}
        model = SpeakerModel(ModelConfig(student=StudentConfig(**size), backend=config)).to("meta")
        assert model(meta(2, model.window)).shape == (2, config.embedding)
