"""Optimised models beside the plain one: the same in float32, close to it in the other precisions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fast_models import toy
from torch.nn import functional as F

from svmixer.export.check import cosines
from svmixer.fast import Calibration, calibrate, load_calibration, optimise, save_calibration
from svmixer.fast.frontend import folded_norm
from svmixer.fast.kits import FloatKit, Int8Kit, eight_bits, quantised
from svmixer.fast.ranges import Range, best_range
from svmixer.inference.model_dir import ModelError
from svmixer.models.io import load_model
from svmixer.models.layers import FrameConv, TimeGroupNorm


def embeddings(model, windows):
    with torch.no_grad():
        return model(torch.from_numpy(windows)).numpy()


@pytest.mark.parametrize("batch", [1, 3])
def test_float32_is_the_plain_model(model, windows, batch):
    fast = optimise(model)
    for first in (0, 5):
        part = windows[first : first + batch]
        np.testing.assert_allclose(embeddings(fast, part), embeddings(model, part), atol=1e-4, rtol=0)


@pytest.mark.parametrize("samples", [4800, 7999, 8000, 8001, 30123])
def test_float32_on_any_length(model, samples):
    wave = np.random.default_rng(samples).uniform(-0.5, 0.5, samples).astype(np.float32)
    fast = optimise(model)
    for protocol in ("whole", "crops", "stream"):
        expected = model.embed(wave, protocol=protocol)
        np.testing.assert_allclose(fast.embed(wave, protocol=protocol), expected, atol=1e-4, rtol=0)
    exact, ours = (
        model.hidden_states(torch.from_numpy(wave)[None]),
        fast.hidden_states(torch.from_numpy(wave)[None]),
    )
    torch.testing.assert_close(ours, exact, atol=1e-3, rtol=1e-4)


def test_an_utterance_does_not_depend_on_the_batch(model, windows):
    for fast in (optimise(model), optimise(model, "int8", calibrate(model, windows[8:], limit=0))):
        together = embeddings(fast, windows[:4])
        alone = np.concatenate([embeddings(fast, windows[i : i + 1]) for i in range(4)])
        np.testing.assert_allclose(together, alone, atol=1e-5, rtol=0)
        np.testing.assert_array_equal(together, embeddings(fast, windows[:4]))


def test_bf16_and_int8_are_near(model, windows):
    exact = embeddings(model, windows[:8])
    half = cosines(embeddings(optimise(model, "bf16"), windows[:8]), exact)
    assert 0.999 < half.min() < 1 - 1e-8
    every = calibrate(model, windows[8:], limit=0)
    eighth = cosines(embeddings(optimise(model, "int8", every), windows[:8]), exact)
    assert 0.99 < eighth.min() < half.min()


def test_calibration_keeps_its_limit(windows):
    # The one with the fewest parts: each is tried.
    model = toy("layer_norm", "statistics")
    every, none = calibrate(model, windows[8:], limit=0), calibrate(model, windows[8:], limit=1.1)
    assert none == Calibration({}, {})
    exact = embeddings(model, windows[8:16])
    alone = cosines(embeddings(optimise(model, "int8", every), windows[8:16]), exact).min()
    limit = 1 - (1 - float(alone)) / 3
    some = calibrate(model, windows[8:], limit=limit)
    assert 0 < len(some.ranges) < len(every.ranges)
    assert cosines(embeddings(optimise(model, "int8", some), windows[8:16]), exact).min() >= limit
    assert {name.partition(":")[0] for name in some.means} == set(some.ranges)


def test_the_plain_model_stays_as_it_is(model, windows):
    before = embeddings(model, windows[:1])
    fast = optimise(model)
    np.testing.assert_array_equal(embeddings(model, windows[:1]), before)
    shared = zip(fast.parameters(), model.parameters(), strict=True)
    assert all(ours.data_ptr() == theirs.data_ptr() for ours, theirs in shared)


def test_products_without_a_range_stay_float32(model, windows):
    none = optimise(model, "int8", Calibration({}, {}))
    np.testing.assert_allclose(
        embeddings(none, windows[:2]), embeddings(optimise(model), windows[:2]), atol=1e-6, rtol=0
    )


def test_what_cannot_be_optimised_is_named(model):
    with pytest.raises(ValueError, match="unknown precision 'float8'; known: float32, bf16, int8"):
        optimise(model, "float8")
    with pytest.raises(ValueError, match="int8 needs that of calibrate"):
        optimise(model, "int8")
    with pytest.raises(ValueError, match="the other precisions have none"):
        optimise(model, "bf16", Calibration({}, {}))


def test_calibration_in_a_file(model, windows, tmp_path):
    calibration = calibrate(model, windows, limit=0)
    save_calibration(calibration, tmp_path / "int8.safetensors")
    again = load_calibration(tmp_path / "int8.safetensors")
    assert again.ranges == calibration.ranges and again.means.keys() == calibration.means.keys()
    assert all(torch.equal(values, calibration.means[name]) for name, values in again.means.items())
    with pytest.raises(ModelError, match=r"nothing\.safetensors: not a readable safetensors file"):
        load_calibration(tmp_path / "nothing.safetensors")


def test_ranges_by_hand():
    # 0 … 2.55 in steps of 0.01; nothing lies outside, and any smaller range would cut off the top.
    assert best_range([torch.linspace(0, 2.55, 256)]) == Range(pytest.approx(0.01), 0)
    # -1 … 1.55: code 100 is zero.
    assert best_range([torch.linspace(-1, 1.55, 256)]) == Range(pytest.approx(0.01), 100)
    # One value in 200,000 is three times the others. With its top at h, the range's steps cost
    # ((1 + h) / 255)² / 12 and the cut (3 − h)² / 200,000: least at h = 2.2.
    values = torch.cat([torch.linspace(-1, 1, 200_001), torch.tensor([3.0])])
    assert 3.05 < 255 * best_range([values]).scale < 3.45
    codes = quantised(torch.tensor([-9.0, 0.0, 0.014, 9.0]), Range(0.01, 100))
    assert codes.tolist() == [0, 100, 101, 255]
    weights, scales = eight_bits(torch.tensor([[1.27, -0.634], [0.0, 0.0]]))
    assert weights.tolist() == [[127, -63], [0, 0]]
    assert scales[0] == pytest.approx(0.01)
    weights, scales = eight_bits(torch.tensor([[0.63, -0.314], [0.0, 0.0]]), largest=63)
    assert weights.tolist() == [[63, -31], [0, 0]]
    assert scales[0] == pytest.approx(0.01)


@pytest.mark.parametrize("emulated", [False, True])
def test_bf16_keeps_eight_bits(emulated):
    # With 8 bits, 1 + 2^-8 is rounded to 1 and 1 + 3 · 2^-8 to 1 + 2^-6; the result 16 + 2^-2 fits.
    kit = FloatKit(torch.bfloat16)
    if emulated:  # what a processor without such products does, which may be this one
        kit.computed = torch.float32
    weight, row = torch.full((4, 16), 1 + 2**-8), torch.full((1, 16), 1 + 3 * 2**-8)
    assert kit.linear("a", weight, torch.zeros(4))(row).tolist() == [[16.25] * 4]
    conv = FrameConv(16, 4, 3, bias=False)
    torch.nn.init.constant_(conv.weight, 1 + 2**-8)
    assert kit.conv("a", conv)(row.expand(3, -1)[None]).flatten().tolist() == [48.75] * 4


@pytest.mark.parametrize("layer", ["linear", "conv", "padded"])
def test_the_largest_products_of_bytes_are_not_cut_off(layer):
    # Every code is the largest there is: two such products of 8 bits do not fit into the 16 bits that x86
    # without VNNI adds them in.
    kit = Int8Kit({"a": Range(1 / 255, 0)}, {"a": torch.zeros(64)})
    if layer == "linear":
        y = kit.linear("a", torch.ones(16, 64), None)(torch.ones(5, 64))
    else:
        conv = FrameConv(64, 16, 3, padding=1 if layer == "padded" else 0)
        torch.nn.init.ones_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
        y = kit.conv("a", conv)(torch.ones(1, 9, 64))[:, 1:-1]
    expected = 64.0 if layer == "linear" else 192.0
    torch.testing.assert_close(y, torch.full_like(y, expected), atol=0, rtol=1e-5)


def test_norm_over_time_folds_into_the_convolution():
    torch.manual_seed(0)
    conv, norm = FrameConv(1, 4, 10, 5, bias=False), TimeGroupNorm(4)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    wave = 0.1 * torch.randn(4000) + 0.3
    weight, bias = folded_norm(conv.weight[:, 0], norm, wave.unfold(0, 10, 5))
    expected = norm(conv(wave[None, :, None]))[0]
    torch.testing.assert_close(wave.unfold(0, 10, 5) @ weight.t() + bias, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "options",
    [{"kernel_size": 3, "stride": 2}, {"kernel_size": 5, "padding": 2}, {"kernel_size": 1},
     {"kernel_size": 3, "dilation": 2, "padding": 2}, {"kernel_size": 3, "padding": 1, "groups": 4}],
)  # fmt: skip
@pytest.mark.parametrize("activation", ["none", "gelu", "relu"])
def test_convolutions_of_each_kit(options, activation):
    torch.manual_seed(1)
    conv = FrameConv(16, 16, **options)
    x = torch.randn(2, 21, 16) + 0.5
    ends = {"none": lambda y: y, "gelu": F.gelu, "relu": F.relu}
    with torch.no_grad():
        expected = ends[activation](conv(x))
        for dtype, bound in ((torch.float32, 1e-5), (torch.bfloat16, 0.05)):
            found = FloatKit(dtype).conv("name", conv, activation)(x)
            torch.testing.assert_close(found, expected, atol=bound, rtol=0)
        kit = Int8Kit({"name": best_range([x.flatten()])}, {"name": x.flatten(0, 1).mean(dim=0)})
        found = kit.conv("name", conv, activation)(x)
    assert (found - expected).abs().max() < 0.06
    assert (found - expected).abs().max() > 1e-5


def test_behind_log_mel_bands():
    model = load_model("pocket")
    wave = (0.1 * np.random.default_rng(0).standard_normal(60_000)).astype(np.float32)
    np.testing.assert_allclose(optimise(model).embed(wave), model.embed(wave), atol=1e-4, rtol=0)
