"""ESPnet's encoders as backends: what ESPnet computes by itself, and its options checked."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from random_weights import randomised

from svmixer import config as configuration
from svmixer.config import ConfigError
from svmixer.models.backends import build_backend
from svmixer.models.backends.espnet import ENCODERS, encoder_options
from svmixer.models.config import BackendConfig, EspnetConfig, ModelConfig
from svmixer.models.io import load_model, save_model
from svmixer.models.speaker_model import SpeakerModel

pytest.importorskip("espnet2", reason="ESPnet is part of [train]")

CONF = Path(__file__).parents[2] / "conf"
STATES, FRAMES, HIDDEN = 3, 40, 16

SMALL = {
    "espnet_ecapa": EspnetConfig(options={"ndim": 16, "output_size": 24, "model_scale": 4}),
    "espnet_mfaconformer": EspnetConfig(
        options={"output_size": 8, "attention_heads": 2, "linear_units": 12, "num_blocks": 2}
    ),
    "espnet_rawnet3": EspnetConfig(options={"ndim": 16, "output_size": 24, "model_scale": 4}),
    "espnet_resnet": EspnetConfig(options={"m_channels": 2, "num_blocks": [1, 1, 1, 1]}, features=24),
    "espnet_ska_tdnn": EspnetConfig(
        features=8,
        projector="ska_tdnn",
        options={"ndim": 16, "ska_dim": 4, "output_size": 24, "model_scale": 4},
    ),
    "espnet_xvector": EspnetConfig(
        pooling="stats", projector="xvector", options={"ndim": 12, "output_size": 20}
    ),
}

# Parameters that cannot change the result: what they add is the same for all frames (or all keys) that a
# softmax is taken over.
WITHOUT_EFFECT = ("pooling.attention.2.bias", "pooling.attention.3.bias", "linear_k.bias")


def small(name, **changes):
    return BackendConfig(name=name, embedding=6, espnet=replace(SMALL[name], **changes))


def build(name, **changes):
    return randomised(build_backend(small(name, **changes), STATES, HIDDEN)).eval()


def espnet_modules(name):
    """Encoder, pooling and projector, built with ESPnet's own names."""
    from espnet2.spk.encoder.conformer_encoder import MfaConformerEncoder
    from espnet2.spk.encoder.ecapa_tdnn_encoder import EcapaTdnnEncoder
    from espnet2.spk.encoder.rawnet3_encoder import RawNet3Encoder
    from espnet2.spk.encoder.resnet_encoder import ResNetEncoder
    from espnet2.spk.encoder.ska_tdnn_encoder import SkaTdnnEncoder
    from espnet2.spk.encoder.xvector_encoder import XvectorEncoder
    from espnet2.spk.pooling.chn_attn_stat_pooling import ChnAttnStatPooling
    from espnet2.spk.pooling.stat_pooling import StatsPooling
    from espnet2.spk.projector.rawnet3_projector import RawNet3Projector
    from espnet2.spk.projector.ska_tdnn_projector import SkaTdnnProjector
    from espnet2.spk.projector.xvector_projector import XvectorProjector

    res2 = {"ndim": 16, "output_size": 24, "model_scale": 4}
    if name == "espnet_ecapa":
        return EcapaTdnnEncoder(16, **res2), ChnAttnStatPooling(24), RawNet3Projector(48, 6)
    if name == "espnet_mfaconformer":
        encoder = MfaConformerEncoder(16, output_size=8, attention_heads=2, linear_units=12, num_blocks=2)
        return encoder, ChnAttnStatPooling(16), RawNet3Projector(32, 6)
    if name == "espnet_rawnet3":
        return RawNet3Encoder(16, **res2), ChnAttnStatPooling(24), RawNet3Projector(48, 6)
    if name == "espnet_resnet":
        # Three of 24 features are left, with 8 times the channels.
        encoder = ResNetEncoder(24, num_blocks=(1, 1, 1, 1), m_channels=2)
        return encoder, ChnAttnStatPooling(48), RawNet3Projector(96, 6)
    if name == "espnet_ska_tdnn":
        return SkaTdnnEncoder(8, ska_dim=4, **res2), ChnAttnStatPooling(24), SkaTdnnProjector(48, 6)
    return XvectorEncoder(16, ndim=12, output_size=20), StatsPooling(20), XvectorProjector(40, 6)


@pytest.mark.parametrize("name", ENCODERS)
def test_equals_the_modules_of_espnet(name):
    backend = build(name)
    states = torch.randn(4, STATES, FRAMES, HIDDEN)
    x = sum(backend.w[0, i, 0, 0] * states[:, i] for i in range(STATES))
    if SMALL[name].features:
        x = x @ backend.map.weight.T + backend.map.bias
    for part, module in zip(("encoder", "pooling", "projector"), espnet_modules(name), strict=True):
        module.load_state_dict(getattr(backend, part).state_dict(), strict=True)
        x = module.eval()(x)
    assert x.shape == (4, 6)
    assert x.std() > 0.01
    torch.testing.assert_close(backend(states), x, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_batch_gives_the_single_results(name):
    backend = build(name)
    states = torch.randn(3, STATES, FRAMES, HIDDEN)
    single = torch.cat([backend(one) for one in states.split(1)])
    assert (single[0] - single[1]).abs().max() > 1e-3
    torch.testing.assert_close(backend(states), single, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ENCODERS)
def test_the_gradient_reaches_every_parameter(name):
    backend = build(name).double()
    states = torch.randn(4, STATES, FRAMES, HIDDEN, dtype=torch.float64, requires_grad=True)
    backend(states).square().sum().backward()
    largest = {key: float(p.grad.abs().max()) for key, p in backend.named_parameters()}
    untouched = {key for key, value in largest.items() if value < 1e-10}
    assert {key for key in untouched if not key.endswith(WITHOUT_EFFECT)} == set()
    assert states.grad.abs().amax(dim=(0, 2, 3)).min() > 1e-10


@pytest.mark.parametrize("name", ENCODERS)
def test_saved_and_loaded(name, toy_config, tmp_path):
    config = ModelConfig(student=toy_config.student, backend=small(name))
    model = randomised(SpeakerModel(config)).eval()
    save_model(model, tmp_path)
    loaded = load_model(tmp_path)
    # What YAML reads back equals what was asked for.
    assert loaded.config == config
    wave = 0.1 * torch.randn(2, config.student.window)
    with torch.no_grad():
        assert torch.equal(loaded(wave), model(wave))


@pytest.mark.parametrize("name", ENCODERS)
def test_an_unknown_option_is_refused(name):
    options = {**SMALL[name].options, "no_such_option": 1}
    with pytest.raises(ConfigError, match=f"{name}: unknown option 'no_such_option'; "):
        build(name, options=options)


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(ConfigError, match="espnet_ecapa: unknown option 'ndims'; did you mean 'ndim'"):
        build("espnet_ecapa", options={"ndims": 16})


def test_what_a_configuration_cannot_say_is_no_option():
    from espnet2.spk.encoder.resnet_encoder import ResNetEncoder

    assert set(encoder_options(ResNetEncoder)) == {"num_blocks", "m_channels", "resnet_type"}
    with pytest.raises(ConfigError, match="unknown option 'input_size'"):
        build("espnet_ecapa", options={"input_size": 80})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("espnet_ska_tdnn", {"ndim": "many"}, r"ESPnet refuses .*'ndim': 'many'.*int"),
        ("espnet_resnet", {"resnet_type": "resnet35"}, "ESPnet refuses .*resnet35"),
        ("espnet_mfaconformer", {"rel_pos_type": "newest"}, "ESPnet refuses .*newest"),
    ],
)
def test_a_value_that_espnet_refuses_is_named(name, options, message):
    with pytest.raises(ConfigError, match=message):
        build(name, options=options)


@pytest.mark.parametrize(("name", "multiple"), [("espnet_ska_tdnn", 4), ("espnet_resnet", 8)])
def test_features_that_do_not_suit_the_encoder(name, multiple):
    with pytest.raises(ConfigError, match=f"{name}: features must be a multiple of {multiple}, found 18"):
        build(name, features=18)


def test_options_from_the_command_line_are_what_yaml_makes_of_them(tmp_path):
    (tmp_path / "b.yaml").write_text("name: espnet_resnet\n")
    overrides = {"espnet.options.m_channels": "2", "espnet.options.num_blocks": "[1, 1, 1, 1]"}
    config = configuration.load(BackendConfig, tmp_path / "b.yaml", {**overrides, "espnet.features": "24"})
    assert config.espnet == SMALL["espnet_resnet"]


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("espnet_ecapa", 19.49),
        ("espnet_mfaconformer", 20.30),
        ("espnet_rawnet3", 16.61),
        ("espnet_resnet", 6.40),
        ("espnet_ska_tdnn", 35.89),
        ("espnet_xvector", 5.85),
    ],
)
def test_presets_have_the_size_that_they_state(name, millions):
    path = CONF / f"backend/{name}.yaml"
    config = configuration.load(BackendConfig, path)
    with torch.device("meta"):
        backend = build_backend(config, 6, 1024)
    assert config.name == name
    assert backend.projector.output_size() == config.embedding == 192
    assert round(sum(p.numel() for p in backend.parameters()) / 1e6, 2) == millions
    assert f"{millions:.2f}M parameters" in path.read_text()


@pytest.mark.slow
def test_without_espnet_the_error_says_what_to_install():
    """In a process of its own, where nothing named espnet2 can be imported."""
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(name, path, target=None):\n"
        "        if name.partition('.')[0] == 'espnet2':\n"
        "            raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Absent)\n"
        "from svmixer.models.backends import build_backend\n"
        "from svmixer.models.config import BackendConfig\n"
        "build_backend(BackendConfig(name='ecapa'), 3, 16)\n"
        "build_backend(BackendConfig(name='espnet_rawnet3'), 3, 16)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("svmixer.yaml_files.ConfigError: backend 'espnet_rawnet3' is made of ESPnet's")
    assert "pip install 'svmixer[train]'" in last
    assert len(result.stderr.split("ConfigError:")) == 2
