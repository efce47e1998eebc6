"""The exported model takes what the model takes: 0.3 s to long recordings, at once and in pieces."""

from __future__ import annotations

import numpy as np
import pytest

from svmixer.inference.utterance import wave_source
from svmixer.runtime import load_onnx


def noise(num):
    return (0.1 * np.random.default_rng(num).standard_normal(num)).astype(np.float32)


@pytest.mark.parametrize("num", [4800, 8000, 8001, 20_000, 1_000_000])
@pytest.mark.parametrize("protocol", ["whole", "crops", "stream"])
def test_lengths(model, exported, num, protocol):
    wave = noise(num)
    found = load_onnx(exported, "float32").embed(wave, protocol=protocol)
    np.testing.assert_allclose(found, model.embed(wave, protocol=protocol), atol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_utterances_together_are_as_alone(exported, precision):
    model = load_onnx(exported, precision)
    waves = {str(num): noise(num) for num in range(5000, 35_000, 1000)}
    found = dict(model.embed_sources(wave_source(wave, name) for name, wave in waves.items()))
    assert list(found) == list(waves)
    for name, wave in waves.items():
        np.testing.assert_allclose(found[name], model.embed(wave), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [3, 160, 7999, 30_000])
def test_stream(exported, size):
    onnx_model = load_onnx(exported, "float32")
    wave = noise(20_001)
    stream = onnx_model.stream()
    for start in range(0, len(wave), size):
        stream.push(wave[start : start + size])
    np.testing.assert_allclose(stream.embedding(), onnx_model.embed(wave, protocol="stream"), atol=1e-5)
    with pytest.raises(ValueError, match="empty: no samples"):
        onnx_model.embed(np.zeros(0))
