"""Embeddings and hidden states of utterances of any length."""

import numpy as np
import pytest
import torch
from averages import combine

from svmixer.inference.utterance import embed_utterance
from svmixer.inference.windows import utterance_windows

WINDOW, FRAMES, HOP = 8000, 24, 320


def noise(num, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(num)).astype(np.float32)


def embed_rows(rows, protocol):
    """The embedding of an utterance whose windows have the embeddings ``rows (W, D)``."""
    left = iter(rows)
    wave = noise(len(rows) * WINDOW)
    return embed_utterance(
        lambda windows: np.stack([next(left) for _ in windows]), wave, WINDOW, protocol, len(rows)
    )


def test_dot_product_is_the_mean_cosine_of_all_pairs():
    first, second = torch.randn(10, 7), torch.randn(10, 7)
    pairs = torch.nn.functional.cosine_similarity(first[:, None], second[None, :], dim=2)
    product = embed_rows(first.numpy(), "crops") @ embed_rows(second.numpy(), "crops")
    np.testing.assert_allclose(product, pairs.mean(), atol=1e-6)
    length = np.linalg.norm(embed_rows(first.numpy(), "crops"))
    assert length < 0.9, "not unit length, or the mean would be lost"


def test_whole_is_the_direction_of_the_same_vector():
    rows = (torch.randn(3, 7) * torch.tensor([1.0, 10.0, 100.0])[:, None]).numpy()
    whole, crops = embed_rows(rows, "whole"), embed_rows(rows, "crops")
    np.testing.assert_allclose(whole, crops / np.linalg.norm(crops), rtol=1e-6)


@pytest.mark.parametrize("num", [1, 2, 399, 7999, 8000, 8001, 30000])
@pytest.mark.parametrize("protocol", ["crops", "whole"])
def test_equals_the_windows_one_by_one(toy_model, num, protocol):
    wave = noise(num)
    embedding = embed_utterance(toy_model.embed_windows, wave, toy_model.window, protocol)
    assert embedding.dtype == np.float32
    assert embedding.shape == (12,)
    with torch.no_grad():
        rows = [toy_model(torch.from_numpy(w[None])) for w in utterance_windows(wave, WINDOW, protocol)]
    np.testing.assert_allclose(embedding, combine(torch.cat(rows).numpy(), protocol), atol=1e-5)


def test_more_windows_than_go_at_once(toy_model):
    wave = noise(20 * WINDOW)
    with torch.no_grad():
        rows = toy_model(torch.from_numpy(wave).view(20, WINDOW))
    embedding = embed_utterance(toy_model.embed_windows, wave, toy_model.window, "whole")
    np.testing.assert_allclose(embedding, combine(rows.numpy(), "whole"), atol=1e-5)


def test_repeated_audio_embeds_like_its_repetition(toy_model):
    wave = noise(5000)
    np.testing.assert_array_equal(toy_model.embed(wave), toy_model.embed(np.resize(wave, WINDOW)))


def test_the_mode_does_not_matter_and_is_put_back(toy_model):
    wave = noise(9000)
    expected = embed_utterance(toy_model.embed_windows, wave, toy_model.window, "crops")
    toy_model.train()
    toy_model.backend.eval()
    running_mean = toy_model.backend.bn2.running_mean.clone()
    again = embed_utterance(toy_model.embed_windows, wave, toy_model.window, "crops")
    np.testing.assert_array_equal(again, expected)
    assert (toy_model.student.training, toy_model.backend.training) == (True, False)
    assert toy_model.student.layers[0].token_mixing.dropout.training
    assert torch.equal(running_mean, toy_model.backend.bn2.running_mean)


def test_the_mode_is_put_back_after_an_error(toy_model, monkeypatch):
    toy_model.train()
    monkeypatch.setattr(toy_model, "forward", lambda wave: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        embed_utterance(toy_model.embed_windows, noise(100), toy_model.window, "crops")
    assert toy_model.training


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        (np.zeros(0), "empty: no samples"),
        (np.array([0.0, np.nan]), "non-finite: 1 of 2 samples"),
        (np.array([0.0, np.inf]), "non-finite: 1 of 2 samples"),
        (np.zeros((1, 2, 3)), r"bad shape: expected .* found \(1, 2, 3\)"),
        (np.zeros(5000), "all-zero: 0.31 s of digital silence"),
    ],
)
def test_bad_waveforms(toy_model, wave, message):
    with pytest.raises(ValueError, match=message):
        toy_model.embed(wave)


def test_embed_takes_channels_rates_and_tensors(toy_model):
    wave = noise(9000)
    expected = toy_model.embed(wave)
    np.testing.assert_array_equal(toy_model.embed(torch.from_numpy(wave), 16000), expected)
    np.testing.assert_array_equal(toy_model.embed(wave[None]), expected)
    both = np.stack([wave + 0.01, wave - 0.01])
    np.testing.assert_allclose(toy_model.embed(both, 16000), expected, atol=1e-4)
    import soxr

    np.testing.assert_array_equal(
        toy_model.embed(wave, 8000), toy_model.embed(soxr.resample(wave, 8000, 16000, quality="HQ"))
    )


def test_hidden_states_up_to_one_window(toy_model):
    wave = torch.from_numpy(noise(2 * WINDOW)).view(2, WINDOW)
    with torch.no_grad():
        exact = toy_model.student(wave)
    assert torch.equal(toy_model.hidden_states(wave), exact)
    short = toy_model.hidden_states(wave[:, :1])
    assert short.shape == (2, 3, FRAMES, 32)
    with torch.no_grad():
        torch.testing.assert_close(short, toy_model.student(wave[:, :1].expand(-1, WINDOW)))


@pytest.mark.parametrize("num", [8000, 8079, 8080, 15759, 15760, 20000, 23520])
def test_hidden_states_of_longer_audio(toy_model, num):
    """Windows of T frames; the last one ends with the last frame and adds only frames that were missing."""
    wave = torch.from_numpy(noise(2 * num)).view(2, num)
    states = toy_model.hidden_states(wave)
    num_frames = (num - 400) // HOP + 1
    assert states.shape == (2, 3, num_frames, 32)
    assert not states.requires_grad
    if num_frames == FRAMES:
        return
    length = (FRAMES - 1) * HOP + 400

    def window(first):
        with torch.no_grad():
            return toy_model.student(wave[:, first * HOP : first * HOP + length])

    for first in range(0, num_frames - FRAMES + 1, FRAMES):
        torch.testing.assert_close(states[:, :, first : first + FRAMES], window(first), atol=1e-5, rtol=1e-5)
    rest = num_frames % FRAMES
    if rest:
        last = window(num_frames - FRAMES)[:, :, -rest:]
        torch.testing.assert_close(states[:, :, -rest:], last, atol=1e-5, rtol=1e-5)


def test_hidden_states_of_a_large_batch_equal_single(toy_model):
    wave = torch.from_numpy(noise(20 * 9000)).view(20, 9000)
    together = toy_model.hidden_states(wave)
    for index in (0, 15, 16, 19):
        single = toy_model.hidden_states(wave[index : index + 1])
        torch.testing.assert_close(single[0], together[index], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("shape", "message"), [((2, 0), "empty waveform"), ((100,), r"\(batch, samples\)")])
def test_hidden_states_of_bad_input(toy_model, shape, message):
    with pytest.raises(ValueError, match=message):
        toy_model.hidden_states(torch.zeros(shape))
