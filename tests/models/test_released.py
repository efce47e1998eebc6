"""Released checkpoints: the forward pass written out from its description with plain operations on tensors.

Nothing of the package's modules is used for the reference, so an error that both a module and its own test
share shows here.
"""

import math
import pickle
import re

import pytest
import torch
from torch.nn import functional as F

from svmixer.cli.main import run_program
from svmixer.models.io import load_model

H, T, EMBEDDING = 1024, 149, 192


def release(layers):
    """Random state dicts with the names and shapes of the released files."""
    generator = torch.Generator().manual_seed(layers)

    def normal(*shape, scale=1.0, offset=0.0):
        return offset + scale * torch.randn(*shape, generator=generator)

    def affine(state, name, *shape):
        state[f"{name}.weight"] = normal(*shape, scale=math.prod(shape[1:]) ** -0.5)
        state[f"{name}.bias"] = normal(shape[0], scale=0.1)

    def norm(state, name, size, running=False):
        state[f"{name}.weight"] = normal(size, scale=0.1, offset=1.0)
        state[f"{name}.bias"] = normal(size, scale=0.1)
        if running:
            state[f"{name}.running_mean"] = normal(size, scale=0.1)
            state[f"{name}.running_var"] = normal(size).abs() + 0.5
            state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    student = {}
    for index, kernel in enumerate((10, 3, 3, 3, 3, 2, 2)):
        shape = (512, 1 if index == 0 else 512, kernel)
        student[f"conv_layers.{index}.conv.weight"] = normal(*shape, scale=(2 / (shape[1] * kernel)) ** 0.5)
    norm(student, "conv_layers.0.layer_norm", 512)
    norm(student, "feat_projection.layer_norm", 512)
    affine(student, "feat_projection.projection", H, 512)
    norm(student, "layer_norm", H)
    for index in range(layers):
        token, channel = f"layers.{index}.token_mixing", f"layers.{index}.channel_mixing"
        norm(student, f"{token}.norm", H)
        affine(student, f"{token}.local_mix1", H, 1, 7)
        affine(student, f"{token}.local_mix2", H, 1, 3)
        affine(student, f"{token}.linear1", 4 * T, T)
        affine(student, f"{token}.linear2", T, 4 * T)
        norm(student, f"{channel}.norm1", H)
        for expand, reduce in (("fc1", "fc2"), ("fc3", "fc4")):
            affine(student, f"{channel}.{expand}", 4 * H, 128, 1)
            affine(student, f"{channel}.{reduce}", H, 512, 1)
        affine(student, f"{channel}.fc5", H, 128, 3)
        affine(student, f"{channel}.fc6", H, H, 1)
    backend = {"w": torch.rand(1, layers + 1, 1, 1, generator=generator)}
    affine(backend, "conv2", 512, H, 5)
    norm(backend, "bn2", 512, running=True)
    for index in (1, 2, 3):
        layer = f"layer{index}"
        affine(backend, f"{layer}.conv1", 512, 512, 1)
        norm(backend, f"{layer}.bn1", 512, running=True)
        for part in range(3):
            affine(backend, f"{layer}.convs.{part}", 128, 128, 3)
            norm(backend, f"{layer}.bns.{part}", 128, running=True)
        affine(backend, f"{layer}.conv3", 512, 512, 1)
        norm(backend, f"{layer}.bn3", 512, running=True)
        affine(backend, f"{layer}.se.se.1", 128, 512, 1)
        affine(backend, f"{layer}.se.se.3", 512, 128, 1)
    affine(backend, "layer4", 1536, 1536, 1)
    affine(backend, "attention.0", 256, 4608, 1)
    norm(backend, "attention.2", 256, running=True)
    affine(backend, "attention.4", 1536, 256, 1)
    norm(backend, "bn5", 3072, running=True)
    affine(backend, "fc6", EMBEDDING, 3072)
    norm(backend, "bn6", EMBEDDING, running=True)
    return student, backend


def conv(state, name, x, **options):
    return F.conv1d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), **options)


def layer_norm(state, name, x):
    """Over the channels of ``(B, C, T)``."""
    y = F.layer_norm(x.transpose(1, 2), x.shape[1:2], state[f"{name}.weight"], state[f"{name}.bias"])
    return y.transpose(1, 2)


def batch_norm(state, name, x):
    mean, var, weight, bias = (
        state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")
    )
    shape = (1, -1) + (1,) * (x.dim() - 2)
    scale = weight / (var + 1e-5).sqrt()
    return x * scale.view(shape) + (bias - mean * scale).view(shape)


def released_states(state, wave, layers):
    """Waveforms ``(B, 48000)`` → hidden states ``(B, L + 1, H, T)``."""
    x = conv(state, "conv_layers.0.conv", wave[:, None], stride=5)
    x = F.group_norm(x, 512, state["conv_layers.0.layer_norm.weight"], state["conv_layers.0.layer_norm.bias"])
    x = F.gelu(x)
    for index in range(1, 7):
        x = F.gelu(conv(state, f"conv_layers.{index}.conv", x, stride=2))
    x = layer_norm(state, "feat_projection.layer_norm", x)
    weight, bias = (state[f"feat_projection.projection.{key}"] for key in ("weight", "bias"))
    x = torch.einsum("hc,bct->bht", weight, x) + bias[:, None]
    states = [x]
    for index in range(layers):
        name = f"layers.{index}.token_mixing"
        u = layer_norm(state, f"{name}.norm", x)
        near = F.gelu(conv(state, f"{name}.local_mix1", u, padding=3, groups=H))
        near = conv(state, f"{name}.local_mix2", near, padding=1, groups=H)
        far = F.gelu(F.linear(u, state[f"{name}.linear1.weight"], state[f"{name}.linear1.bias"]))
        far = F.linear(far, state[f"{name}.linear2.weight"], state[f"{name}.linear2.bias"])
        x = x + near + far
        name = f"layers.{index}.channel_mixing"
        v = layer_norm(state, f"{name}.norm1", x)
        half = F.gelu(conv(state, f"{name}.fc1", F.avg_pool1d(v, 2, 2), groups=8))
        half = F.interpolate(conv(state, f"{name}.fc2", half, groups=8), size=T, mode="linear")
        full = conv(state, f"{name}.fc4", F.gelu(conv(state, f"{name}.fc3", v, groups=8)), groups=8)
        mixed = F.gelu(conv(state, f"{name}.fc5", half + full, padding=1, groups=8))
        x = x + conv(state, f"{name}.fc6", mixed)
        states.append(x)
    states[-1] = layer_norm(state, "layer_norm", x)
    return torch.stack(states, dim=1)


def released_embedding(state, states):
    """Hidden states ``(B, L + 1, H, T)`` → embeddings ``(B, 192)``."""
    x = (states * state["w"]).sum(dim=1)
    x = (x - x.mean(2, keepdim=True)) / (x.var(2, keepdim=True, correction=0) + 1e-5).sqrt()
    x = batch_norm(state, "bn2", F.relu(conv(state, "conv2", x, padding=2)))
    outputs, feed = [], x
    for index, dilation in ((1, 2), (2, 3), (3, 4)):
        name = f"layer{index}"
        y = batch_norm(state, f"{name}.bn1", F.relu(conv(state, f"{name}.conv1", feed)))
        pieces, carried = list(y.split(128, dim=1)), None
        for part in range(3):
            z = pieces[part] if carried is None else pieces[part] + carried
            z = F.relu(conv(state, f"{name}.convs.{part}", z, dilation=dilation, padding=dilation))
            carried = pieces[part] = batch_norm(state, f"{name}.bns.{part}", z)
        y = batch_norm(state, f"{name}.bn3", F.relu(conv(state, f"{name}.conv3", torch.cat(pieces, dim=1))))
        gate = F.relu(conv(state, f"{name}.se.se.1", y.mean(dim=2, keepdim=True)))
        outputs.append(feed + y * torch.sigmoid(conv(state, f"{name}.se.se.3", gate)))
        feed = x + sum(outputs)
    x = F.relu(conv(state, "layer4", torch.cat(outputs, dim=1)))
    mean, std = x.mean(2, keepdim=True), x.var(2, keepdim=True).clamp(min=1e-4).sqrt()
    scores = torch.cat([x, mean.expand_as(x), std.expand_as(x)], dim=1)
    scores = torch.tanh(batch_norm(state, "attention.2", F.relu(conv(state, "attention.0", scores))))
    weights = torch.softmax(conv(state, "attention.4", scores), dim=2)
    mean = (x * weights).sum(dim=2)
    std = ((x.square() * weights).sum(dim=2) - mean.square()).clamp(min=1e-4).sqrt()
    pooled = batch_norm(state, "bn5", torch.cat([mean, std], dim=1))
    return batch_norm(state, "bn6", F.linear(pooled, state["fc6.weight"], state["fc6.bias"]))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A released pair of two layers, which have every tensor that five and seventeen have."""
    folder = tmp_path_factory.mktemp("released")
    student, backend = release(2)
    torch.save(student, folder / "a_student_model.pt")
    torch.save(backend, folder / "a_classifier.pt")
    return folder


def options(folder, output):
    return [
        "--student", str(folder / "a_student_model.pt"), "--classifier", str(folder / "a_classifier.pt"),
        "--output", str(output),
    ]  # fmt: skip


@pytest.mark.slow
def test_outputs_equal_the_released_forward_pass(files, tmp_path):
    run_program("convert_released", options(files, tmp_path / "model"))
    model = load_model(tmp_path / "model")
    student, backend = release(2)
    wave = 0.1 * torch.randn(2, 48000, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        expected = released_states(student, wave, 2)
        states = model.student(wave)
        torch.testing.assert_close(states, expected.transpose(2, 3), atol=1e-4, rtol=0)
        reference = released_embedding(backend, expected)
        torch.testing.assert_close(model(wave), reference, atol=1e-4, rtol=0)
    assert reference.std() > 0.1, "the reference depends on its input"
    assert (reference[0] - reference[1]).abs().max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(("layers", "total"), [(5, 33037243), (17, 77988883)])
def test_released_sizes(tmp_path, layers, total):
    student, backend = release(layers)
    torch.save(student, tmp_path / "a_student_model.pt")
    torch.save(backend, tmp_path / "a_classifier.pt")
    run_program("convert_released", options(tmp_path, tmp_path / "model"))
    model = load_model(tmp_path / "model")
    assert sum(p.numel() for p in model.parameters()) == total
    assert model.config.student.layers == layers
    assert model.config.student.window == 48000


def test_counters_of_batches_may_be_missing(files, tmp_path):
    student, backend = release(2)
    kept = {key: value for key, value in backend.items() if not key.endswith("num_batches_tracked")}
    torch.save(student, tmp_path / "a_student_model.pt")
    torch.save(kept, tmp_path / "a_classifier.pt")
    run_program("convert_released", options(tmp_path, tmp_path / "model"))
    assert load_model(tmp_path / "model").backend.bn2.num_batches_tracked == 0


def drop(state, key):
    del state[key]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s, b: drop(s, "layers.1.channel_mixing.fc3.bias"),
            "missing layers.1.channel_mixing.fc3.bias",
        ),
        (lambda s, b: s.update(extra=torch.zeros(2)), "unexpected extra"),
        (lambda s, b: b.update(head=torch.zeros(2)), "unexpected head"),
        (lambda s, b: drop(b, "bn5.running_var"), "missing bn5.running_var"),
        (lambda s, b: drop(b, "fc6.weight"), "no tensor fc6.weight; is this the right file"),
        (
            lambda s, b: b.update(w=torch.zeros(1, 6, 1, 1)),
            r"w has shape \(1, 6, 1, 1\), but .* has 2",
        ),
        (
            lambda s, b: s.update({"conv_layers.3.conv.weight": torch.zeros(512, 512, 5)}),
            r"convolutions of kernel \(10, 3, 3, 5, 3, 2, 2\)",
        ),
        (lambda s, b: s.update(note="text"), "expected a state dict"),
    ],
)
def test_files_that_do_not_fit(tmp_path, capsys, change, message):
    student, backend = release(2)
    change(student, backend)
    torch.save(student, tmp_path / "a_student_model.pt")
    torch.save(backend, tmp_path / "a_classifier.pt")
    with pytest.raises(SystemExit) as stop:
        run_program("convert_released", options(tmp_path, tmp_path / "model"))
    assert stop.value.code == 1
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    assert re.search(message, error), error
    assert not (tmp_path / "model").exists()


class Harmful:
    """What a hostile file could hold."""

    def __reduce__(self):
        return (open, ("touched", "w"))


def test_code_in_a_file_is_not_run(files, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"w": Harmful()}, tmp_path / "bad.pt")
    with pytest.raises(SystemExit):
        run_program(
            "convert_released",
            ["--student", "bad.pt", "--classifier", str(files / "a_classifier.pt"), "--output", "model"],
        )
    assert "bad.pt: not a PyTorch file of plain tensors" in capsys.readouterr().err
    assert not (tmp_path / "touched").exists()
    (tmp_path / "cut.pt").write_bytes(pickle.dumps([1, 2], protocol=2)[:-1])
    with pytest.raises(SystemExit):
        run_program(
            "convert_released", ["--student", "cut.pt", "--classifier", "missing.pt", "--output", "model"]
        )
    assert "cut.pt: not a PyTorch file" in capsys.readouterr().err
