"""The ECAPA-TDNN backend against a second implementation, and its pooling by hand."""

import pytest
import torch
from random_weights import randomised
from torch.nn import functional as F

from svmixer.config import ConfigError
from svmixer.models.backends import build_backend
from svmixer.models.backends.ecapa import Ecapa
from svmixer.models.config import BackendConfig, EcapaConfig

CONFIG = BackendConfig(embedding=6, ecapa=EcapaConfig(channels=8, attention_channels=4, se_bottleneck=2))
STATES, FRAMES, HIDDEN = 3, 20, 10


@pytest.fixture
def backend():
    return randomised(Ecapa(CONFIG, STATES, HIDDEN)).eval()


def reference(states, p, instance_norm=True):
    """The backend on (B, C, T) from its state dict with torch's plain functions."""

    def conv(x, name, **options):
        return F.conv1d(x, p[f"{name}.weight"], p[f"{name}.bias"], **options)

    def norm(x, name):
        keys = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(p[f"{name}.{key}"] for key in keys))

    def res2(x, name, dilation):
        y = norm(F.relu(conv(x, f"{name}.conv1")), f"{name}.bn1")
        parts, out, previous = y.split(y.shape[1] // 4, dim=1), [], 0
        for i in range(3):
            z = conv(parts[i] + previous, f"{name}.convs.{i}", dilation=dilation, padding=dilation)
            previous = norm(F.relu(z), f"{name}.bns.{i}")
            out.append(previous)
        y = norm(F.relu(conv(torch.cat([*out, parts[3]], 1), f"{name}.conv3")), f"{name}.bn3")
        gate = conv(F.relu(conv(y.mean(2, keepdim=True), f"{name}.se.se.1")), f"{name}.se.se.3")
        return x + y * torch.sigmoid(gate)

    x = sum(p["w"][0, i, 0, 0] * states[:, i] for i in range(states.shape[1])).transpose(1, 2)
    if instance_norm:
        x = (x - x.mean(2, keepdim=True)) / (x.var(2, keepdim=True, correction=0) + 1e-5).sqrt()
    x = norm(F.relu(conv(x, "conv2", padding=2)), "bn2")
    x1 = res2(x, "layer1", 2)
    x2 = res2(x + x1, "layer2", 3)
    x3 = res2(x + x1 + x2, "layer3", 4)
    x = F.relu(conv(torch.cat([x1, x2, x3], 1), "layer4"))
    mean = x.mean(2, keepdim=True).expand_as(x)
    std = x.var(2, keepdim=True, unbiased=True).clamp(min=1e-4).sqrt().expand_as(x)
    scores = norm(F.relu(conv(torch.cat([x, mean, std], 1), "attention.0")), "attention.2")
    w = torch.softmax(conv(torch.tanh(scores), "attention.4"), dim=2)
    mu = (x * w).sum(2)
    sg = ((x**2 * w).sum(2) - mu**2).clamp(min=1e-4).sqrt()
    pooled = norm(torch.cat([mu, sg], 1), "bn5")
    return norm(F.linear(pooled, p["fc6.weight"], p["fc6.bias"]), "bn6")


def test_equals_the_reference(backend):
    states = torch.randn(4, STATES, FRAMES, HIDDEN)
    result = backend(states)
    assert result.std() > 0.1
    torch.testing.assert_close(result, reference(states, backend.state_dict()), atol=1e-5, rtol=1e-4)


def test_without_the_instance_norm_the_mean_over_time_stays():
    config = BackendConfig(embedding=6, ecapa=EcapaConfig(8, 4, 2, instance_norm=False))
    backend = randomised(Ecapa(config, STATES, HIDDEN)).eval()
    states = torch.randn(4, STATES, FRAMES, HIDDEN)
    expected = reference(states, backend.state_dict(), instance_norm=False)
    torch.testing.assert_close(backend(states), expected, atol=1e-5, rtol=1e-4)
    shifted = backend(states + torch.randn(1, 1, 1, HIDDEN))
    assert (shifted - expected).abs().max() > 1e-2


def test_training_uses_the_batch_statistics():
    """Without noise, batch statistics are those of every frame of the batch."""
    quiet = BackendConfig(embedding=6, ecapa=EcapaConfig(8, 4, 2, noise=(0.0, 0.0)))
    backend = randomised(Ecapa(quiet, STATES, HIDDEN)).train()
    seen = []
    backend.bn2.register_forward_hook(lambda layer, args, out: seen.append((args[0], out)))
    backend(torch.randn(4, STATES, FRAMES, HIDDEN))
    ((x, y),) = seen
    mean, var = x.mean((0, 1)), x.var((0, 1), correction=0)
    expected = (x - mean) / (var + 1e-5).sqrt() * backend.bn2.weight + backend.bn2.bias
    torch.testing.assert_close(y, expected, atol=1e-5, rtol=1e-5)


def test_pooling_by_hand(backend):
    """Without attention frames 1, 2, 3 weigh 1/3 each: deviation √(2/3); a constant channel gets √0.0001."""
    torch.nn.init.zeros_(backend.attention[4].weight)
    torch.nn.init.zeros_(backend.attention[4].bias)
    x = torch.full((1, 3, 24), 5.0)
    x[0, :, 0] = torch.tensor([1.0, 2.0, 3.0])
    pooled = backend.pool(x)[0]
    expected = torch.tensor([2.0, *[5.0] * 23, 0.8165, *[0.01] * 23])
    torch.testing.assert_close(pooled, expected, atol=1e-4, rtol=0)


def test_pooling_follows_the_attention(backend):
    """All weight on one frame: its value is the mean and the deviation is the floor."""
    backend.attention = torch.nn.Sequential(OneFrame(2))
    x = torch.randn(2, 5, 24)
    pooled = backend.pool(x)
    torch.testing.assert_close(pooled[:, :24], x[:, 2])
    torch.testing.assert_close(pooled[:, 24:], torch.full((2, 24), 0.01))


class OneFrame(torch.nn.Module):
    def __init__(self, frame):
        super().__init__()
        self.frame = frame

    def forward(self, x):
        weights = torch.zeros(x.shape[0], x.shape[1], 24)
        weights[:, self.frame] = 1
        return weights


def test_a_constant_offset_per_channel_does_not_matter(backend):
    states = torch.randn(2, STATES, FRAMES, HIDDEN)
    torch.testing.assert_close(backend(states + torch.randn(HIDDEN)), backend(states), atol=1e-4, rtol=1e-4)


def test_weights_start_in_the_unit_interval():
    w = Ecapa(CONFIG, 18, HIDDEN).w
    assert w.shape == (1, 18, 1, 1)
    assert 0 <= w.min() < 0.3 < 0.7 < w.max() < 1


def test_noise_in_training_only(backend):
    states = torch.randn(2, STATES, FRAMES, HIDDEN)
    assert torch.equal(backend(states), backend(states))
    for module in backend.modules():
        module.training = module is backend
    assert not torch.equal(backend(states), backend(states)), "noise alone is awake"
    backend.noise = (0.0, 0.0)
    assert torch.equal(backend(states), backend(states))


def test_noise_level_is_drawn_for_each_sample(backend):
    deviations = backend._add_noise(torch.zeros(500, 40, 50)).std(dim=(1, 2))
    assert 0.0009 < deviations.min() < 0.0015
    assert 0.0095 < deviations.max() < 0.0105
    assert abs(deviations.mean() - 0.0055) < 0.0004


def test_unknown_backend_names_the_nearest():
    with pytest.raises(ConfigError, match="unknown backend 'eccapa'; did you mean 'ecapa'"):
        build_backend(BackendConfig(name="eccapa"), STATES, HIDDEN)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"channels": 10}, r"scale \(4\) must be at least 2 and divide channels \(10\)"),
        ({"noise": (0.2, 0.1)}, "noise"),
        ({"se_bottleneck": 0}, "se_bottleneck must be at least 1"),
    ],
)
def test_bad_sizes_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        EcapaConfig(**values)
