"""Hidden states against ``transformers``: every family, both kinds of front end, from its own directories."""

import itertools
import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny import CONV_LAYERS

from svmixer.models.io import ModelError
from svmixer.teachers import load_teacher

FAMILIES = {
    "wavlm": (transformers.WavLMModel, transformers.WavLMConfig, transformers.WavLMForCTC),
    "hubert": (transformers.HubertModel, transformers.HubertConfig, transformers.HubertForCTC),
    "wav2vec2": (transformers.Wav2Vec2Model, transformers.Wav2Vec2Config, transformers.Wav2Vec2ForCTC),
}
CHANNELS, KERNELS, STRIDES = zip(*CONV_LAYERS, strict=True)
WAVE = 0.1 * torch.randn(2, 4000, generator=torch.Generator().manual_seed(1)) + 0.02
# Since version 5 `hidden_states` has the last layer's output before the final norm of the stable models.
RAW_LAST = int(transformers.__version__.split(".")[0]) >= 5


def configuration(family, **values):
    return FAMILIES[family][1](
        **{
            "hidden_size": 24,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "intermediate_size": 32,
            "conv_dim": CHANNELS,
            "conv_kernel": KERNELS,
            "conv_stride": STRIDES,
            "num_conv_pos_embeddings": 8,
            "num_conv_pos_embedding_groups": 4,
            "vocab_size": 7,
            **values,
        }
    )


def random_reference(cls, config):
    torch.manual_seed(5)
    model = cls(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def hear(model, wave):
    """(all hidden states, last hidden state), the waveform scaled as ``transformers`` does for this kind."""
    normalise = model.config.feat_extract_norm == "layer"
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalise)
    values = extractor([row.numpy() for row in wave], sampling_rate=16000, return_tensors="pt").input_values
    with torch.no_grad():
        out = model(values, output_hidden_states=True)
    return torch.stack(out.hidden_states, dim=1), out.last_hidden_state


@pytest.mark.parametrize(
    ("family", "norm", "stable", "bias"),
    list(itertools.product(FAMILIES, ("group", "layer"), (False, True), (False, True))),
)
def test_hidden_states(family, norm, stable, bias, tmp_path):
    config = configuration(family, feat_extract_norm=norm, do_stable_layer_norm=stable, conv_bias=bias)
    reference = random_reference(FAMILIES[family][0], config)
    reference.save_pretrained(tmp_path)
    teacher = load_teacher(tmp_path)
    states, last = hear(reference, WAVE)
    ours = teacher.hidden_states(WAVE)
    assert ours.shape == (2, 4, 12, 24)
    assert teacher.config.frontend.num_frames(4000) == 12
    torch.testing.assert_close(ours[:, :-1], states[:, :-1], atol=1e-4, rtol=0)
    final = teacher.hidden_states(WAVE, final_norm=True)[:, -1]
    torch.testing.assert_close(final, last, atol=1e-4, rtol=0)
    torch.testing.assert_close(ours[:, -1] if RAW_LAST else final, states[:, -1], atol=1e-4, rtol=0)
    assert teacher.config.family == family
    assert teacher.config.normalise_waveform == (norm == "layer")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fine_tuned_checkpoint_loads_without_its_head(family, tmp_path):
    reference = random_reference(FAMILIES[family][2], configuration(family))
    reference.save_pretrained(tmp_path)
    assert any(key.startswith("lm_head") for key in load_file(tmp_path / "model.safetensors"))
    states, _ = hear(getattr(reference, family), WAVE)
    torch.testing.assert_close(load_teacher(tmp_path).hidden_states(WAVE), states, atol=1e-4, rtol=0)


def test_old_pickled_weights_with_the_old_names(tmp_path):
    """``pytorch_model.bin`` of older releases: weight normalisation as ``weight_g`` and ``weight_v``."""
    reference = random_reference(transformers.WavLMModel, configuration("wavlm"))
    reference.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    conv = "encoder.pos_conv_embed.conv."
    tensors[conv + "weight_g"] = tensors.pop(conv + "parametrizations.weight.original0")
    tensors[conv + "weight_v"] = tensors.pop(conv + "parametrizations.weight.original1")
    (tmp_path / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    states, _ = hear(reference, WAVE)
    torch.testing.assert_close(load_teacher(tmp_path).hidden_states(WAVE), states, atol=1e-4, rtol=0)


def test_the_preprocessor_decides_about_normalisation(tmp_path):
    random_reference(transformers.HubertModel, configuration("hubert")).save_pretrained(tmp_path)
    assert not load_teacher(tmp_path).config.normalise_waveform
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True}))
    assert load_teacher(tmp_path).config.normalise_waveform


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model_type": "data2vec-audio"},
            "'data2vec-audio' is not one of wavlm, hubert, wav2vec2",
        ),
        ({"feat_proj_layer_norm": False}, "feat_proj_layer_norm = False is not supported"),
        ({"conv_pos_batch_norm": True}, "conv_pos_batch_norm = True is not supported"),
        ({"hidden_act": "relu"}, "hidden_act = 'relu' is not supported"),
    ],
)
def test_what_has_no_counterpart_is_refused(change, message, tmp_path):
    random_reference(transformers.HubertModel, configuration("hubert")).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ModelError, match=message):
        load_teacher(tmp_path)


def test_missing_and_unexpected_tensors_are_named(tmp_path):
    random_reference(transformers.HubertModel, configuration("hubert")).save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["encoder.layers.9.bias"] = tensors.pop("encoder.layer_norm.bias")
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ModelError) as raised:
        load_teacher(tmp_path)
    assert "missing encoder.transformer.layer_norm.bias" in str(raised.value)
    assert "unexpected encoder.transformer.layers.9.bias" in str(raised.value)


def test_no_weights(tmp_path):
    configuration("hubert").save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"neither model\.safetensors nor pytorch_model\.bin is there"):
        load_teacher(tmp_path)
