"""The front end against torchaudio's feature extractor, and the arithmetic of its frames."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svmixer.models.config import FrontendConfig
from svmixer.models.frontend import ConvFrontend, FeatureProjection, to_level
from svmixer.models.layers import FrameConv

CHANNELS = (6, 8, 10, 8, 6, 8, 12)


@pytest.mark.parametrize("norm", ["group_norm", "layer_norm"])
def test_equals_torchaudio(norm):
    from torchaudio.models.wav2vec2 import components

    config = FrontendConfig(channels=CHANNELS, norm=norm)
    shapes = list(zip(config.channels, config.kernels, config.strides, strict=True))
    reference = components._get_feature_extractor(norm, shapes, bias=False)
    for parameter in reference.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours = ConvFrontend(config)
    ours.load_state_dict(reference.conv_layers.state_dict())
    wave = 0.1 * torch.randn(3, 2345)
    expected, _ = reference(wave, None)
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(ours(wave), expected, atol=1e-5, rtol=1e-5)
    assert ours(wave).shape[1] == config.num_frames(2345)


def test_projection_equals_torchaudio():
    from torchaudio.models.wav2vec2.components import FeatureProjection as Reference

    reference = Reference(12, 20, dropout=0.1).eval()
    torch.nn.init.normal_(reference.layer_norm.weight)
    ours = FeatureProjection(12, 20, dropout=0.1).eval()
    ours.load_state_dict(reference.state_dict())
    x = torch.randn(2, 5, 12)
    torch.testing.assert_close(ours(x), reference(x))


def test_figures_of_the_default():
    config = FrontendConfig()
    assert (config.hop, config.receptive_field) == (320, 400)
    assert [config.num_frames(n) for n in (0, 1, 399, 400, 719, 720, 48000)] == [0, 0, 0, 1, 1, 2, 149]
    assert config.num_samples(149) == 47760


@given(st.integers(1, 400))
def test_num_samples_is_the_least(frames):
    config = FrontendConfig()
    least = config.num_samples(frames)
    assert config.num_frames(least) == frames
    assert config.num_frames(least - 1) == frames - 1
    assert config.num_frames(least + config.hop - 1) == frames


@settings(deadline=None, max_examples=60)
@given(
    groups=st.integers(1, 3),
    width=st.integers(1, 3),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 3),
    frames=st.integers(13, 30),
    bias=st.booleans(),
)
def test_frame_conv_equals_conv1d(groups, width, kernel, stride, padding, dilation, frames, bias):
    torch.manual_seed(0)
    shape = (groups * width, 2 * groups, kernel, stride, padding, dilation, groups, bias)
    textbook, ours = torch.nn.Conv1d(*shape), FrameConv(*shape)
    ours.load_state_dict(textbook.state_dict())
    x = torch.randn(2, frames, groups * width)
    expected = textbook(x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(ours(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"channels": (8, 8)}, "same number"),
        ({"channels": (0, 8, 8, 8, 8, 8, 8)}, "at least 1"),
    ],
)
def test_bad_shapes_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        FrontendConfig(**values)


def test_level_by_hand():
    wave = torch.tensor([[0.3, -0.3, 0.3, -0.3], [0.01, 0.01, -0.01, -0.01], [0.0, 0.0, 0.0, 0.0]])
    found = to_level(wave, -20.0)
    # -20 dB of full scale is a root mean square of 0.1, whatever it was before; silence stays silent.
    torch.testing.assert_close(found[:2].abs(), torch.full((2, 4), 0.1), atol=1e-6, rtol=1e-4)
    assert torch.equal(found[0].sign(), wave[0].sign()) and not found[2].any()


@pytest.mark.parametrize("first_layer", ["mel", "log_mel"])
@pytest.mark.parametrize("decibels", [-30.0, -20.0])
def test_a_level_makes_the_gain_of_a_recording_no_difference(first_layer, decibels):
    sizes = {"channels": (8, 12), "kernels": (400, 2), "strides": (160, 2)}
    frontends = [
        ConvFrontend(FrontendConfig(**sizes, norm="layer_norm", first_layer=first_layer, level=level))
        for level in (None, -26.0)
    ]
    frontends[1].load_state_dict(frontends[0].state_dict())
    wave = 0.05 * torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    plain, levelled = ((model(wave), model(wave * 10 ** (decibels / 20))) for model in frontends)
    torch.testing.assert_close(*levelled, atol=2e-3, rtol=2e-3)
    assert (plain[0] - plain[1]).abs().max() > 0.02


def test_a_level_out_of_range_is_refused():
    for level in (3.0, -61.0, float("nan")):
        with pytest.raises(ValueError, match="level must be -60 to 0 dB"):
            FrontendConfig(level=level)
