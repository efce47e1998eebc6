"""Teachers from directories, from the package and from torchaudio bundles."""

import urllib.error

import pytest
import torch
from tiny import SIZES, random_model, tiny_config
from torchaudio import pipelines

import svmixer
from svmixer.config import ConfigError
from svmixer.inference import embedding_model
from svmixer.models.io import ModelError
from svmixer.models.teacher_config import CONV_LAYERS
from svmixer.teachers import load_teacher, save_teacher
from svmixer.teachers.teacher import bundle_config


@pytest.fixture
def wave():
    return torch.randn(2, 4000, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("family", ["wavlm", "hubert", "wav2vec2"])
def test_round_trip(family, tmp_path, wave):
    config = tiny_config(family=family, normalise_waveform=True, encoder_layer_norm_first=True)
    model = random_model(config)
    save_teacher(model, config, tmp_path)
    teacher = svmixer.load_teacher(tmp_path)
    assert teacher.config == config
    state = teacher.model.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert teacher.hidden_states(wave).shape == (2, 4, 12, 24)


def test_by_name_from_the_package(tmp_path, monkeypatch):
    save_teacher(random_model(tiny_config()), tiny_config(), tmp_path / "wavlm_toy")
    monkeypatch.setattr(embedding_model, "ASSETS", tmp_path)
    assert load_teacher("wavlm_toy").config.hidden == 24
    with pytest.raises(ModelError, match=r"wavlm_tay: no such teacher directory \(names: wavlm_toy\)"):
        load_teacher("wavlm_tay")


def test_bad_directories(tmp_path):
    save_teacher(random_model(tiny_config()), tiny_config(), tmp_path)
    path = tmp_path / "config.yaml"
    text = path.read_text()
    path.write_text(text.replace("encoder_num_layers: 3", "encoder_num_layers: 2"))
    with pytest.raises(ModelError, match=r"unexpected encoder\.transformer\.layers\.2\."):
        load_teacher(tmp_path)
    path.write_text(text.replace("encoder_num_heads", "encoder_heads"))
    with pytest.raises(ConfigError, match="unknown key 'encoder_heads'; did you mean 'encoder_num_heads'"):
        load_teacher(tmp_path)
    path.write_text(text.replace("encoder_num_heads: 4", "encoder_num_heads: 5"))
    with pytest.raises(ConfigError, match=r"encoder_embed_dim \(24\) is not a multiple"):
        load_teacher(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no teacher directory: model\.safetensors is missing"):
        load_teacher(tmp_path)


@pytest.fixture
def bundle(monkeypatch):
    """A bundle of toy size under the name TOY_WAVLM, its weights at hand instead of on a server."""
    model = random_model(tiny_config())
    parameters = {
        **SIZES,
        "extractor_mode": "group_norm",
        "extractor_conv_bias": False,
        "encoder_projection_dropout": 0.1,
        "encoder_num_buckets": 320,
        "encoder_max_distance": 800,
        "encoder_attention_dropout": 0.1,
        "encoder_ff_interm_dropout": 0.0,
        "encoder_dropout": 0.1,
        "encoder_layer_norm_first": False,
        "encoder_layer_drop": 0.05,
        "aux_num_out": None,
    }

    def make(normalise):
        toy = pipelines.Wav2Vec2Bundle("toy.pth", parameters, 16000, normalise, "WavLM")
        monkeypatch.setattr(toy, "_get_state_dict", lambda dl_kwargs: model.state_dict())
        monkeypatch.setattr(pipelines, "TOY_WAVLM", toy, raising=False)
        return toy

    return make


@pytest.mark.parametrize("normalise", [False, True])
def test_bundle(bundle, normalise, wave):
    reference = bundle(normalise).get_model()
    teacher = load_teacher("TOY_WAVLM")
    assert teacher.config.normalise_waveform == normalise
    assert (teacher.config.family, teacher.config.layers, teacher.config.hidden) == ("wavlm", 3, 24)
    for row in wave:
        with torch.no_grad():
            features, _ = reference.extract_features(row[None])
        states = teacher.hidden_states(row[None])
        torch.testing.assert_close(states[:, 1:], torch.stack(features, dim=1), atol=1e-3, rtol=1e-3)


def test_a_bundle_that_cannot_be_downloaded(bundle, monkeypatch):
    def unreachable(dl_kwargs):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(bundle(False), "_get_state_dict", unreachable)
    with pytest.raises(ModelError, match=r"TOY_WAVLM: its weights cannot be downloaded .*checkpoints"):
        load_teacher("TOY_WAVLM")


@pytest.mark.parametrize(
    ("name", "family", "large", "layers", "hidden"),
    [
        ("WAVLM_LARGE", "wavlm", True, 24, 1024),
        ("WAVLM_BASE_PLUS", "wavlm", False, 12, 768),
        ("HUBERT_BASE", "hubert", False, 12, 768),
        ("HUBERT_LARGE", "hubert", True, 24, 1024),
        ("WAV2VEC2_BASE", "wav2vec2", False, 12, 768),
        ("WAV2VEC2_LARGE_LV60K", "wav2vec2", True, 24, 1024),
    ],
)
def test_conventions_of_the_bundles(name, family, large, layers, hidden):
    config = bundle_config(name)
    assert (config.family, config.layers, config.hidden) == (family, layers, hidden)
    assert config.normalise_waveform == config.encoder_layer_norm_first == large
    assert config.extractor_mode == ("layer_norm" if large else "group_norm")
    assert config.extractor_conv_layer_config == CONV_LAYERS
    assert config.frontend.num_frames(48000) == 149


def test_a_large_model_without_layer_norm():
    config = bundle_config("WAV2VEC2_LARGE")
    assert (config.extractor_mode, config.normalise_waveform, config.layers) == ("group_norm", False, 24)


def test_an_unknown_bundle_names_the_nearest():
    with pytest.raises(ModelError, match="no torchaudio bundle 'WAVLM_LARG'; did you mean 'WAVLM_LARGE'"):
        load_teacher("WAVLM_LARG")


class Planted:
    """Unpickled it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_bundle_s_file_is_read_as_tensors_alone(bundle, monkeypatch, tmp_path):
    toy = bundle(False)
    monkeypatch.undo()
    monkeypatch.setattr(pipelines, "TOY_WAVLM", toy, raising=False)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    file = tmp_path / "checkpoints/toy.pth"
    file.parent.mkdir()
    torch.save(random_model(tiny_config()).state_dict(), file)
    assert load_teacher("TOY_WAVLM").config.layers == 3
    torch.save({"weight": Planted(tmp_path / "PWNED")}, file)
    with pytest.raises(ModelError, match=r"TOY_WAVLM: .*checkpoints has another file"):
        load_teacher("TOY_WAVLM")
    assert not (tmp_path / "PWNED").exists()
