"""The ReDimNet backend: its reshapes and sums by hand, its sizes, its training, files of its former form."""

from dataclasses import replace
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import torch
import yaml
from random_weights import randomised
from torch.nn import functional as F

from svmixer import config as configuration
from svmixer.config import ConfigError
from svmixer.models.backends import build_backend
from svmixer.models.backends.redimnet import Redimnet, RedimnetNetwork, WeightedOutputs, to_maps, to_signal
from svmixer.models.backends.redimnet_parts import SIZES, RedimnetSize, StageSize
from svmixer.models.config import BackendConfig, ModelConfig, RedimnetConfig
from svmixer.models.costs import measure
from svmixer.models.io import load_model, save_model
from svmixer.models.speaker_model import SpeakerModel

CONF = Path(__file__).parents[2] / "conf"
CONFIG = BackendConfig(name="redimnet", embedding=6)
STATES, FRAMES, HIDDEN = 3, 20, 10
# A stage without and one with expansion, one without the one-dimensional part.
TOY = RedimnetSize(6, 4, "resnet_gated", 2, (StageSize(1, 1, 1, 0), StageSize(3, 2, 2, 8)), 5)
# Parameters of the authors' classes, which have one that is not trained and that we do not have.
AUTHORS = {
    "b0": 1_004_251, "b1": 2_126_937, "b2": 5_067_057, "b3": 3_225_021, "b4": 6_441_521, "b5": 7_659_761,
    "b6": 15_015_473,
}  # fmt: skip
FORMER = {
    "bins": 72, "channels": 16, "strides": [1, 2, 2, 2], "blocks": 2, "reduction": 4,
    "kernels": [7, 15, 31, 59], "attention_channels": 128,
}  # fmt: skip

# Their addend is the same for all frames, or all keys, that a softmax is taken over.
WITHOUT_EFFECT = {"network.pool.linear2.bias", "network.stages.1.signal.transformer.key.bias"}


@pytest.fixture(params=["resnet_gated", "resnet", "convnext"])
def backend(request, monkeypatch):
    monkeypatch.setitem(SIZES, "b2", replace(TOY, block=request.param))
    return randomised(Redimnet(CONFIG, STATES, HIDDEN)).eval()


def test_reshaping_by_hand():
    """Two channels of three bins over two frames: a row is bin · 2 + channel."""
    maps = torch.arange(12.0).view(1, 2, 3, 2)
    signal = to_signal(maps)
    assert signal.tolist() == [[[0, 1], [6, 7], [2, 3], [8, 9], [4, 5], [10, 11]]]
    assert torch.equal(to_maps(signal, 2), maps)
    assert to_maps(signal, 6).shape == (1, 6, 1, 2)


def test_weighted_outputs_by_hand():
    """Weights 0 and log 3 of one row are 1/4 and 3/4; those of the other row are equal."""
    total = WeightedOutputs(2, 2)
    assert torch.equal(total([torch.full((1, 2, 1), 2.0), torch.zeros(1, 2, 1)]), torch.ones(1, 2, 1))
    with torch.no_grad():
        total.weight[1, 0] = torch.tensor(3.0).log()
    result = total([torch.full((1, 2, 1), 4.0), torch.full((1, 2, 1), 8.0)])
    torch.testing.assert_close(result, torch.tensor([[[7.0], [6.0]]]))


def test_what_stands_for_the_spectrogram(backend):
    """The weighted sum mapped to bins, each without its mean over the utterance."""
    states = torch.randn(2, STATES, FRAMES, HIDDEN)
    mapped = sum(backend.w[0, i, 0, 0] * states[:, i] for i in range(STATES)) @ backend.map.weight.T
    bins = mapped.transpose(1, 2)
    bins = bins - bins.sum(2, keepdim=True) / FRAMES
    torch.testing.assert_close(backend(states), backend.network(bins), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(backend(states + 3.0), backend(states), atol=1e-4, rtol=1e-3)


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


def test_saved_and_loaded(toy_config, backend, tmp_path):
    model = randomised(SpeakerModel(ModelConfig(student=toy_config.student, backend=CONFIG))).eval()
    save_model(model, tmp_path)
    wave = 0.1 * torch.randn(2, toy_config.student.window)
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path)(wave), model(wave))


def test_sizes_are_those_of_the_authors():
    assert set(AUTHORS) == set(SIZES) == set(get_args(get_type_hints(RedimnetConfig)["size"]))
    for name, count in AUTHORS.items():
        with torch.device("meta"):
            network = RedimnetNetwork(SIZES[name], 192)
        assert sum(p.numel() for p in network.parameters()) == count - 1, name


def test_size_of_the_preset():
    path = CONF / "backend/redimnet.yaml"
    config = configuration.load(BackendConfig, path)
    assert config == BackendConfig(name="redimnet")
    with torch.device("meta"):
        backend = build_backend(config, 6, 1024)
        cost = measure(backend, torch.empty(1, 6, 149, 1024))
    assert cost.params == AUTHORS["b2"] - 1 + 1024 * 72 + 6
    assert f"{cost.params / 1e6:.2f}M parameters, {cost.macs / 1e9:.2f} GMACs" in path.read_text()


def test_a_model_of_the_former_backend_is_refused(toy_config, tmp_path):
    save_model(SpeakerModel(toy_config), tmp_path)
    file = tmp_path / "config.yaml"
    values = yaml.safe_load(file.read_text())
    values["backend"]["redimnet"] = FORMER
    file.write_text(yaml.safe_dump(values))
    assert load_model(tmp_path).config == toy_config, "other backends load whatever stands there"
    values["backend"]["name"] = "redimnet"
    file.write_text(yaml.safe_dump(values))
    message = r"config\.yaml: backend\.redimnet: .* are of the former backend of this name.*redimnet\.size"
    with pytest.raises(ConfigError, match=message):
        load_model(tmp_path)


def test_a_former_option_is_an_unknown_key():
    with pytest.raises(ConfigError, match=r"unknown key 'redimnet\.bins'; known: size"):
        configuration.from_dict(BackendConfig, {"name": "redimnet", "redimnet": {"bins": 60}})
