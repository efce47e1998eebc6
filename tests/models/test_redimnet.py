"""The ReDimNet backend against a second implementation, its reshapes and sums by hand, its sizes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from random_weights import randomised
from torch.nn import functional as F

from svmixer import config as configuration
from svmixer.models.backends import build_backend
from svmixer.models.backends.redimnet import Redimnet, WeightedOutputs, to_maps, to_signal
from svmixer.models.config import BackendConfig, ModelConfig, RedimnetConfig
from svmixer.models.costs import measure
from svmixer.models.io import load_model, save_model
from svmixer.models.speaker_model import SpeakerModel

CONF = Path(__file__).parents[2] / "conf"
SIZES = RedimnetConfig(
    bins=12, channels=2, strides=(1, 2, 3), blocks=2, reduction=4, kernels=(3, 5, 7), attention_channels=5
)
CONFIG = BackendConfig(name="redimnet", embedding=6, redimnet=SIZES)
STATES, FRAMES, HIDDEN, ROWS = 3, 20, 10, 24

# Their addend is the same for all frames that a softmax is taken over.
WITHOUT_EFFECT = {"attention.4.bias"}


@pytest.fixture
def backend():
    return randomised(Redimnet(CONFIG, STATES, HIDDEN)).eval()


def reference(states, p):
    """The backend from its state dict with torch's plain functions, maps as (B, C, F, T)."""

    def norm(x, name):
        keys = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(p[f"{name}.{key}"] for key in keys))

    def maps(x, name):
        y = F.relu(norm(F.conv2d(x, p[f"{name}.conv1.weight"], padding=1), f"{name}.bn1"))
        return F.relu(x + norm(F.conv2d(y, p[f"{name}.conv2.weight"], padding=1), f"{name}.bn2"))

    def signal(x, name, kernel):
        def conv(x, part, **options):
            return F.conv1d(x, p[f"{name}.{part}.weight"], p[f"{name}.{part}.bias"], **options)

        y = F.gelu(norm(conv(x, "reduce"), f"{name}.bn1"))
        y = F.gelu(norm(conv(y, "time", padding=kernel // 2, groups=ROWS // 4), f"{name}.bn2"))
        return x + conv(y, "expand")

    x = sum(p["w"][0, i, 0, 0] * states[:, i] for i in range(STATES))
    x = (x @ p["map.weight"].T + p["map.bias"]).transpose(1, 2)[:, None]
    x = F.relu(norm(F.conv2d(x, p["stem.0.weight"], padding=1), "stem.1"))
    batch, channels, bins = x.shape[:3]
    outputs = [x.reshape(batch, ROWS, FRAMES)]
    x = outputs[0]
    for i, (stride, kernel) in enumerate(zip((1, 2, 3), (3, 5, 7), strict=True)):
        y = F.conv2d(
            x.reshape(batch, channels, bins, FRAMES),
            p[f"stages.{i}.divide.weight"],
            stride=(stride, 1),
            padding=1,
        )
        channels, bins = channels * stride, bins // stride
        assert y.shape == (batch, channels, bins, FRAMES)
        y = F.relu(norm(y, f"stages.{i}.bn"))
        y = maps(maps(y, f"stages.{i}.maps.0"), f"stages.{i}.maps.1")
        outputs.append(signal(y.reshape(batch, ROWS, FRAMES), f"stages.{i}.signal", kernel))
        weights = p[f"sums.{i}.weight"].exp()
        weights = weights / weights.sum(0)
        x = sum(weight[:, None] * output for weight, output in zip(weights, outputs, strict=True))
    mean = x.mean(2, keepdim=True).expand_as(x)
    std = x.var(2, keepdim=True, unbiased=True).clamp(min=1e-4).sqrt().expand_as(x)
    scores = F.conv1d(torch.cat([x, mean, std], 1), p["attention.0.weight"], p["attention.0.bias"])
    scores = torch.tanh(norm(F.relu(scores), "attention.2"))
    weights = torch.softmax(F.conv1d(scores, p["attention.4.weight"], p["attention.4.bias"]), dim=2)
    mu = (x * weights).sum(2)
    sg = ((x**2 * weights).sum(2) - mu**2).clamp(min=1e-4).sqrt()
    return F.linear(norm(torch.cat([mu, sg], 1), "norm"), p["linear.weight"], p["linear.bias"])


def test_equals_the_reference(backend):
    states = torch.randn(4, STATES, FRAMES, HIDDEN)
    result = backend(states)
    assert result.std() > 0.1
    torch.testing.assert_close(result, reference(states, backend.state_dict()), atol=1e-5, rtol=1e-4)


def test_reshaping_by_hand():
    """Two channels of three frequencies over two frames: a row is channel · 3 + frequency."""
    maps = torch.arange(12.0).view(1, 2, 3, 2)
    signal = to_signal(maps)
    assert signal.tolist() == [[[0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9, 11]]]
    assert torch.equal(to_maps(signal, 2), maps)
    assert to_maps(signal, 6).shape == (1, 6, 1, 2)


def test_weighted_outputs_by_hand():
    """Weights 0 and log 3 of one row are 1/4 and 3/4; those of the other row are equal."""
    total = WeightedOutputs(2, 2)
    assert torch.equal(total([torch.full((1, 1, 2), 2.0), torch.zeros(1, 1, 2)]), torch.ones(1, 1, 2))
    with torch.no_grad():
        total.weight[1, 0] = torch.tensor(3.0).log()
    result = total([torch.tensor([[[4.0, 4.0]]]), torch.tensor([[[8.0, 8.0]]])])
    torch.testing.assert_close(result, torch.tensor([[[7.0, 6.0]]]))


def test_a_batch_gives_the_single_results(backend):
    states = torch.randn(3, STATES, FRAMES, HIDDEN)
    single = torch.cat([backend(one) for one in states.split(1)])
    assert (single[0] - single[1]).abs().max() > 1e-2
    torch.testing.assert_close(backend(states), single, atol=1e-5, rtol=1e-4)


def test_the_gradient_reaches_every_parameter(backend):
    backend.double()
    states = torch.randn(4, STATES, FRAMES, HIDDEN, dtype=torch.float64, requires_grad=True)
    backend(states).square().sum().backward()
    untouched = {key for key, p in backend.named_parameters() if p.grad.abs().max() < 1e-10}
    assert untouched <= WITHOUT_EFFECT
    assert states.grad.abs().amax(dim=(0, 2, 3)).min() > 1e-10


def test_trains(backend):
    """Three classes of random states are told apart after a few steps."""
    backend.train()
    states, labels = torch.randn(6, STATES, FRAMES, HIDDEN), torch.tensor([0, 1, 2, 0, 1, 2])
    optimiser = torch.optim.Adam(backend.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        loss = F.cross_entropy(backend(states)[:, :3], labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 < 0.5 < losses[0]


def test_saved_and_loaded(toy_config, tmp_path):
    model = randomised(SpeakerModel(ModelConfig(student=toy_config.student, backend=CONFIG))).eval()
    save_model(model, tmp_path)
    wave = 0.1 * torch.randn(2, toy_config.student.window)
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path)(wave), model(wave))


def counted_parameters(states, hidden, sizes, embedding):
    """Written out: weights, biases, two numbers a channel of a batch norm."""
    channels, rows = sizes.channels, sizes.channels * sizes.bins
    inner = rows // sizes.reduction
    total = states + hidden * sizes.bins + sizes.bins + 9 * channels + 2 * channels
    for index, (stride, kernel) in enumerate(zip(sizes.strides, sizes.kernels, strict=True)):
        wider = channels * stride
        total += 9 * channels * wider + 2 * wider
        total += sizes.blocks * 2 * (9 * wider * wider + 2 * wider)
        total += rows * inner + inner + 2 * inner + kernel * inner + inner + 2 * inner + inner * rows + rows
        total += (index + 2) * rows
        channels = wider
    total += 3 * rows * sizes.attention_channels + 3 * sizes.attention_channels
    total += sizes.attention_channels * rows + rows
    return total + 4 * rows + 2 * rows * embedding + embedding


def test_sizes_of_the_preset():
    path = CONF / "backend/redimnet.yaml"
    config = configuration.load(BackendConfig, path)
    assert config == BackendConfig(name="redimnet")
    with torch.device("meta"):
        backend = build_backend(config, 6, 1024)
        cost = measure(backend, torch.empty(1, 6, 149, 1024))
    assert cost.params == counted_parameters(6, 1024, config.redimnet, 192)
    assert f"{cost.params / 1e6:.2f}M parameters, {cost.macs / 1e9:.2f} GMACs" in path.read_text()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"strides": (1, 2)}, "strides and kernels need the same number of values, one a stage, found 2, 3"),
        ({"strides": (1, 2, 4)}, r"the strides \(1, 2, 4\) do not divide 12 bins"),
        ({"kernels": (3, 4, 5)}, "kernels must be odd"),
        ({"reduction": 5}, r"reduction \(5\) does not divide channels times bins \(24\)"),
        ({"blocks": 0}, "blocks must be at least 1"),
    ],
)
def test_bad_sizes_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        replace(SIZES, **values)
